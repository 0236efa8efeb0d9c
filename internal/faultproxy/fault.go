package faultproxy

import (
	"sync/atomic"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Message is an LDAP message on its way.
type Message struct {
	wire.Message
	// Request is the tag of the request that the message is or answers. It is 0 for what answers none.
	Request wire.Tag
	// Reply says that the message comes from the server.
	Reply bool
}

// ends reports whether the message is the last one of its operation.
func (m *Message) ends() bool {
	return m.Reply && m.Tag != wire.TagSearchEntry && m.Tag != wire.TagSearchReference
}

// Fate is what becomes of a message. The zero value is Pass.
type Fate struct {
	ending ending
	// wait is how long the message, and all behind it, are held up first.
	wait time.Duration
	// pace is the time that each octet of the message takes.
	pace time.Duration
	// instead, unless empty, takes the place of the message.
	instead string
}

type ending int

const (
	passes ending = iota
	isLost
	isCut
	isReset
)

// Fates without a number in them.
var (
	// Pass hands the message on.
	Pass = Fate{}
	// Lose drops the message. The connection stays as it is, and whoever waits for the message waits.
	Lose = Fate{ending: isLost}
	// Cut drops the message and closes the connection to both sides.
	Cut = Fate{ending: isCut}
	// Reset is Cut with a reset (RST) instead of a proper end for the client.
	Reset = Fate{ending: isReset}
)

// Late hands the message on after a while.
func Late(wait time.Duration) Fate { return Fate{wait: wait} }

// Trickle hands the message on octet by octet, each of which takes a while.
func Trickle(pace time.Duration) Fate { return Fate{pace: pace} }

// Instead hands on other octets in the message's place.
func Instead(octets []byte) Fate { return Fate{instead: string(octets)} }

// A Fault decides about messages. It is called by several goroutines at the same time.
type Fault func(*Message) Fate

// AnyRequest stands for the tags of all requests.
const AnyRequest wire.Tag = 0

// The requests of the operations on entries.
const (
	Search   = wire.TagSearchRequest
	Add      = wire.TagAddRequest
	Modify   = wire.TagModifyRequest
	ModifyDN = wire.TagModifyDNRequest
	Delete   = wire.TagDeleteRequest
)

// Request is the fault of the requests of one kind: the server gets them late or never.
func Request(tag wire.Tag, fate Fate) Fault {
	return func(m *Message) Fate {
		if !m.Reply && (tag == AnyRequest || m.Tag == tag) {
			return fate
		}
		return Pass
	}
}

// Reply is the fault of what ends operations of one kind: the server has carried them out, and the client does not hear
// of it.
func Reply(tag wire.Tag, fate Fate) Fault {
	return func(m *Message) Fate {
		if m.ends() && (tag == AnyRequest || m.Request == tag) {
			return fate
		}
		return Pass
	}
}

// Entry is the fault of the entry of a search's answer before which so many have passed, counted over all searches.
func Entry(after int, fate Fate) Fault {
	var seen atomic.Int64
	return func(m *Message) Fate {
		if m.Tag == wire.TagSearchEntry && seen.Add(1) == int64(after)+1 {
			return fate
		}
		return Pass
	}
}

// All is the fault of everything that either side sends.
func All(fate Fate) Fault { return func(*Message) Fate { return fate } }

// Times is a fault that ends after it has met so many messages.
func Times(count int, fault Fault) Fault {
	var met atomic.Int64
	return func(m *Message) Fate {
		fate := fault(m)
		if fate != Pass && met.Add(1) > int64(count) {
			return Pass
		}
		return fate
	}
}
