// Package faultproxy is what lies between a client and an LDAP server in tests: a relay for TCP that reads the messages on
// their way, and does to them, when told to, what networks and servers do.
//
// A Fault looks at each message and decides its Fate: to pass, to be late, to trickle, to be lost, or to end the
// connection instead of arriving. That a reply is lost after the server has carried out its request is then
//
//	proxy.Set(faultproxy.Reply(faultproxy.Add, faultproxy.Cut))
//
// Beyond messages, Refuse takes the server off the network and Accept brings it back.
//
// The relay knows plain LDAP only. What is no LDAP, TLS among it, ends a connection.
package faultproxy
