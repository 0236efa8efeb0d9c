// Package doctor examines LDAP servers that the service is to use, and says in plain sentences what they lack, what that
// costs and what to do about it.
//
// Nothing is believed that can be tried. Whether a key is unique is found out by writing it twice, whether a password can
// be verified by signing in with it, whether there is an index by the time that a search takes: a configuration is not
// for everybody to see, and does not say what it does.
//
// # Throw-away entries
//
// What is tried needs entries. Each carries marker as its description, a name that begins with namePrefix, and is made
// directly below one of the bases, except for the single attempts to write elsewhere, which a server should refuse.
// Users among them have passwords that nobody knows, and all but the one that signs in are disabled. They are removed when
// the examination ends, however it ends; those that a killed process has left are removed at the beginning of the next
// one. An entry that the directory held before is never changed: permission to change it is found out by changes that can
// only fail.
//
// # Whether there is an index
//
// A search for a value that no entry has takes a server no time with an index, and a look at every entry without one.
// The difference is small where there are few entries and drowns in the time that the network takes. So the filter is
// joined with an expression that every entry matches, that no index can help with, and that is as costly as is needed:
//
//	(&(|(businessCategory:caseIgnoreMatch:=…)…(objectClass=*))(|(uid=nobody)(uid=nobody)))
//
// A server that has an index of uid finds no candidate and never evaluates the expression. Each filter is compared with
// two that no index can answer (S) and with the same filter on a single entry (F), by the least time of several attempts,
// since everything that disturbs a measurement makes it longer. Where S is not a multiple of F it cannot be told. In a
// small directory, one throw-away entry with many values of the attribute makes it so.
package doctor
