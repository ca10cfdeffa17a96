// A real provider for tests: `node serve.mjs PORT KID` signs with a key of that name, made up at each start.
// A client gets JWT access tokens for the resource https://hub.test by its own credentials; it is its own user.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, kid] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }] },
  clients: ['web', 'other'].map((client_id) => ({
    client_id,
    client_secret: 'a-secret-of-a-test',
    grant_types: ['client_credentials'],
    id_token_signed_response_alg: 'ES256',
    redirect_uris: [],
    response_types: [],
  })),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://hub.test',
      getResourceServerInfo: () => ({
        scope: 'jobs',
        audience: 'https://hub.test',
        accessTokenTTL: 600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  extraTokenClaims: () => ({ realm_access: { roles: ['operator'] }, org: 'acme', hub: { subscribe: ['*'], service: true } }),
  clientBasedCORS: () => false,
});

createServer(provider.callback()).listen(Number(port), '127.0.0.1', () => console.log('ready'));
