/** Certificates for loopback, made on the spot by openssl. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A certificate that is its own authority, and its key, as PEM texts. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** Makes a self-signed certificate for 127.0.0.1 and localhost, valid for a day. */
export function makeCertificate(commonName: string): Certificate {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-'))
  try {
    const key = join(directory, 'key.pem')
    const cert = join(directory, 'cert.pem')
    const algorithm = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    const names = ['-subj', `/CN=${commonName}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    const files = ['-keyout', key, '-out', cert]
    execFileSync('openssl', ['req', '-x509', '-days', '1', ...algorithm, ...names, ...files], {
      stdio: 'pipe',
    })
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  } finally {
    rmSync(directory, { recursive: true })
  }
}
