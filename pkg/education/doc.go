// Package education is what the service is about: schools, users and classes, as tables of properties and navigation
// properties; what a request may change; the rules an operator chooses; and the Directory that keeps it all.
//
// A school is a tenant of OpenCloud. Everything that is known of a property stands in its row, and everything else reads
// it there: the check of a body, the check of a filter, the attributes asked for, the codec between entity and entry.
package education
