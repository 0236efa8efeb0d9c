// Package audit keeps the record of who changed what: one line of JSON for each change that was asked for, and for each
// request that was refused because of its credential.
//
// A Trail follows each request (pkg/middleware calls Follow and End around it) and writes the line when it has been answered.
// What the request was about is filled in by Directory, which stands between the handlers and the directory, so that no
// handler knows that there is a record. A line names entities by id and externalId, and properties by their names. Values,
// bodies, queries and tokens have no place in it.
package audit
