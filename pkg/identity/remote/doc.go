// Package remote carries out the LDAP operations of pkg/identity on servers on the network: OpenLDAP, 389-DS, or any
// other one with the schema of this service.
//
// # One server at a time
//
// A Client is given one server or several that replicate each other, in the order of preference. It reads from and
// writes to one of them at a time, so that what it has written it can read. When an operation meets a broken
// connection or no answer, the client looks for the first server that answers: the one in use first, which gets a
// head start, then the others in their order. Requests wait for that decision, and reads that were under way are
// repeated where it falls. While no server answers, every request fails at once, with an error that says nothing about the
// data; all servers are tried several times a second, so that service is back within a second of a server's return.
//
// What is promised about a reader of one client, then: it sees every write that this client has acknowledged, and never
// an older state than one it has seen, as long as the server in use stays the same. A server that dies may take with it
// writes that it had acknowledged and not yet replicated; no client can help that, only a directory that replicates
// synchronously.
//
// The client goes back to a server that it prefers when that has answered without interruption for failBackAfter, when this
// client has neither written for failBackQuiet nor is writing, and when the server has caught up. OpenLDAP says how far a
// replica is in the contextCSN of its suffix; where the account may not read that (and on 389-DS, which has no such
// attribute), the quiet time must do. Other clients of the same directory decide for themselves: two may for a while write
// to two providers, whose uniqueness constraints know of each other's entries only after replication. Who wants none of
// that puts one address in front of the providers.
//
// # Writes whose answer is lost
//
// A write is sent once. Where the connection breaks or the answer does not come, the write may or may not have been
// carried out; the client then reads the entry, on the same server if that answers, and compares. If all that was asked
// for is there, the write has succeeded. On another server, to which changes may still be on their way, only what is there
// counts: that an entry or a value is missing shows nothing. Otherwise the result is wire.ErrOutcomeUnknown: that the entry
// is unchanged now does not say that the server will not yet come to the request. Who repeats the request gets the truth,
// because an Add of the same entry and a Modify that was worked out from an older revision are refused. A Modify of nothing
// but a password cannot be looked up, and is always unknown.
//
// # Bounds
//
// Every step ends: dialling, binding, waiting for a connection, an operation, and in a long search the wait for each
// entry. When one of these bounds or the request's context is exceeded, the connection is closed, which is the only sure
// way to make a server stop, and never used again.
//
// A search holds its connection no longer than the server takes to answer, unless the answer is long: what does not
// fit in memory sensibly is handed on as it comes, on a connection taken out of the pool, so that slow readers of long lists
// leave the pool to everybody else.
//
// # What servers lack
//
// PostRead (RFC 4527) is left out where a server does not advertise it. Assertions (RFC 4528) are then checked by a
// search just before the operation; a change in between goes unnoticed, so nothing that must not fail may hang on
// them alone. Referrals are not followed: they are reported as wire.ResultReferral.
package remote
