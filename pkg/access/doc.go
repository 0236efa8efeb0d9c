// Package access says who may do what. A request carries a token; an Authenticator knows the Grant that the token stands
// for; a Gate makes of it the Credential that goes with the request's context. Whatever answers the request asks the
// credential, and only there: HTTP methods are held against its verbs in pkg/middleware, entities against its schools in
// pkg/identity.
package access
