/** The words of the corpus: what a shop's HTTP server, databases and business code would put into attributes. */

/** 20 routes: span names, and paths of which most hold an id. Earlier ones are met more often. */
export const ROUTES: readonly (readonly [method: string, route: string])[] = [
  ['GET', '/api/v1/products/:productId'],
  ['GET', '/api/v1/products'],
  ['GET', '/api/v1/carts/:cartId'],
  ['POST', '/api/v1/carts/:cartId/items'],
  ['GET', '/api/v1/customers/:customerId/orders'],
  ['GET', '/api/v1/orders/:orderId'],
  ['POST', '/api/v1/orders'],
  ['GET', '/api/v1/search'],
  ['GET', '/api/v1/categories/:categoryId/products'],
  ['PUT', '/api/v1/carts/:cartId/items/:itemId'],
  ['DELETE', '/api/v1/carts/:cartId/items/:itemId'],
  ['POST', '/api/v1/orders/:orderId/payments'],
  ['GET', '/api/v1/customers/:customerId'],
  ['PATCH', '/api/v1/customers/:customerId'],
  ['POST', '/api/v1/sessions'],
  ['GET', '/api/v1/recommendations/:customerId'],
  ['GET', '/api/v1/inventory/:productId/availability'],
  ['POST', '/api/v1/orders/:orderId/cancellation'],
  ['GET', '/healthz'],
  ['GET', '/metrics'],
]

/** 16 user agents. */
export const USER_AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15',
  'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0',
  'Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36',
  'shop-ios/7.14.2 (build 4471; iOS 18.6)',
  'shop-android/7.13.0 (build 9920; Android 15)',
  'okhttp/4.12.0',
  'python-requests/2.32.4',
  'kube-probe/1.33',
  'Prometheus/3.5.0',
]

/** 3 hosts, as clients name them. */
export const HOSTS = ['shop.example.com', 'api.shop.example.com', 'shop.example.de']

/** 12 queries of PostgreSQL: operation, collection, text. Parameters are placeholders. */
export const QUERIES: readonly (readonly [operation: string, collection: string, text: string])[] = [
  ['SELECT', 'products', 'SELECT id, sku, title, price, currency, stock FROM products WHERE id = $1'],
  [
    'SELECT',
    'products',
    'SELECT p.id, p.sku, p.title, p.price, c.name AS category FROM products p JOIN categories c ON c.id = p.category_id WHERE c.id = $1 AND p.active ORDER BY p.rank DESC LIMIT $2 OFFSET $3',
  ],
  ['SELECT', 'carts', 'SELECT id, customer_id, updated_at FROM carts WHERE id = $1 AND deleted_at IS NULL'],
  [
    'SELECT',
    'cart_items',
    'SELECT i.id, i.product_id, i.quantity, p.price FROM cart_items i JOIN products p ON p.id = i.product_id WHERE i.cart_id = $1',
  ],
  [
    'INSERT',
    'cart_items',
    'INSERT INTO cart_items (cart_id, product_id, quantity, created_at) VALUES ($1, $2, $3, now()) ON CONFLICT (cart_id, product_id) DO UPDATE SET quantity = cart_items.quantity + EXCLUDED.quantity RETURNING id',
  ],
  [
    'SELECT',
    'orders',
    'SELECT id, status, total, currency, created_at FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 20',
  ],
  [
    'INSERT',
    'orders',
    'INSERT INTO orders (customer_id, status, total, currency) VALUES ($1, $2, $3, $4) RETURNING id',
  ],
  ['UPDATE', 'orders', 'UPDATE orders SET status = $2, updated_at = now() WHERE id = $1'],
  ['SELECT', 'customers', 'SELECT id, name, email, locale, tier FROM customers WHERE id = $1'],
  ['UPDATE', 'inventory', 'UPDATE inventory SET reserved = reserved + $2 WHERE product_id = $1'],
  ['DELETE', 'cart_items', 'DELETE FROM cart_items WHERE cart_id = $1 AND id = $2'],
  ['SELECT', 'feature_flags', 'SELECT key, variant FROM feature_flags WHERE environment = $1'],
]

/** 6 commands of Redis. */
export const COMMANDS = ['GET', 'SET', 'MGET', 'HGETALL', 'INCR', 'EXPIRE']

/** 8 operations of the shop itself: span name, function, file, line. */
export const OPERATIONS: readonly (readonly [name: string, func: string, file: string, line: number])[] = [
  ['load cart', 'CartService.load', 'src/cart/cart-service.ts', 84],
  ['price cart', 'PricingEngine.priceCart', 'src/pricing/pricing-engine.ts', 212],
  ['rank products', 'SearchRanker.rank', 'src/search/search-ranker.ts', 57],
  ['render response', 'renderResponse', 'src/http/render.ts', 31],
  ['validate address', 'AddressValidator.validate', 'src/customer/address-validator.ts', 118],
  ['reserve stock', 'InventoryService.reserve', 'src/inventory/inventory-service.ts', 149],
  ['authorize payment', 'PaymentGateway.authorize', 'src/payment/payment-gateway.ts', 263],
  ['evaluate flags', 'FlagClient.evaluate', 'src/flags/flag-client.ts', 40],
]

/** 24 customers' names, of which half are not ASCII. */
export const NAMES = [
  ...['Anna Schmidt', 'Jörg Müller', 'María José Ñíguez', 'John Smith', '王小明', 'Zoë Łukasiewicz'],
  ...['Olivia Brown', 'Søren Kierkegård', 'Ahmed Hassan', 'Наталья Иванова', 'Emma Jones', 'Renée Dubois'],
  ...['Liam Wilson', 'İbrahim Şahin', 'Grace Kim', '佐藤 花子', 'Noah Taylor', 'Björk Jónsdóttir'],
  ...['Mia Garcia', 'Αλέξανδρος Π.', 'Lucas Martin', 'प्रिया शर्मा', 'Ella Davis', 'François Lefèvre'],
]

/** 16 searches, a quarter of them not ASCII. */
export const SEARCHES = [
  ...[
    'running shoes',
    'usb-c cable',
    'café filter',
    'rain jacket',
    'desk lamp',
    'Käsereibe',
    'wool socks',
    'tent',
  ],
  ...[
    '4k monitor',
    'bread knife',
    '抹茶',
    'yoga mat',
    'phone case',
    'headphones',
    'crème brûlée torch',
    'bike pump',
  ],
]

/** 5 errors: type, message. */
export const ERRORS: readonly (readonly [type: string, message: string])[] = [
  ['TimeoutError', 'upstream did not answer within 1500 ms'],
  ['CardDeclinedError', 'the card was declined: insufficient funds'],
  ['OutOfStockError', 'not enough stock for product'],
  ['ValidationError', 'Straße und Hausnummer müssen angegeben werden'],
  ['TypeError', "Cannot read properties of undefined (reading 'price')"],
]

/** What a stack looks like below its first lines. */
export const STACK_TAIL = [
  'at process.processTicksAndRejections (node:internal/process/task_queues:105:5)',
  'at async PricingEngine.priceCart (/srv/shop/dist/pricing/pricing-engine.js:188:22)',
  'at async CheckoutController.checkOut (/srv/shop/dist/checkout/checkout-controller.js:71:19)',
  'at async /srv/shop/dist/http/handler.js:44:7',
  'at async Layer.handleRequest (/srv/shop/node_modules/router/lib/layer.js:152:17)',
  'at async next (/srv/shop/node_modules/router/lib/route.js:157:13)',
]

export const CURRENCIES = ['EUR', 'USD', 'GBP', 'JPY']
export const COUNTRIES = ['DE', 'US', 'GB', 'FR', 'JP', 'ES', 'TR', 'PL']
