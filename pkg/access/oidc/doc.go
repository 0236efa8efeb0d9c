// Package oidc lets in the JWT access tokens (RFC 9068, RFC 7519) of configured issuers: it finds their keys by OpenID Connect
// Discovery, checks tokens, and makes grants of their claims. It asks an issuer for its keys only, never about a token.
package oidc
