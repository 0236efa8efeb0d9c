package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/opencloud-eu/education/internal/passwordhash"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Client is identity.Operations on servers. Its methods may be called at the same time.
type Client struct {
	config  Config
	servers []*server
	keeper  *keeper
	// streams has a place for each long list that may be under way.
	streams chan struct{}
	hashing passwordhash.Places

	stop    context.CancelFunc
	running sync.WaitGroup
	metrics *metrics
}

// maxStreams is how many long lists may be under way at the same time. Each has a connection of its own beside the
// pool's. There are enough for as many requests as run by default and for those whose clients are slow (pkg/middleware).
const maxStreams = 128

// Open returns a client. It fails if the configuration is wrong, with all of its faults; see Check. It looks for servers when
// it is first used, and one that cannot be reached is no error here. The client stays the caller's to close.
func Open(config Config) (*Client, error) { return open(config, defaultTiming) }

func open(config Config, timing timing) (*Client, error) {
	c := &Client{config: config.withDefaults(), streams: make(chan struct{}, maxStreams), hashing: make(passwordhash.Places, runtime.GOMAXPROCS(0))}
	if err := Check(c.config); err != nil {
		return nil, err
	}
	if err := c.makePools(); err != nil {
		return nil, err
	}
	var err error
	if c.metrics, err = newMetrics(c); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.keeper = newKeeper(c.servers, timing, c.config.Logger)
	c.keeper.start = sync.OnceFunc(func() {
		c.running.Go(func() { c.keeper.run(ctx) })
		c.running.Go(func() { c.keeper.watch(ctx) })
	})
	return c, nil
}

// makePools makes a pool for each server.
func (c *Client) makePools() error {
	secure, err := c.config.tlsConfig()
	if err != nil {
		return err
	}
	endpoints, err := c.config.endpoints()
	if err != nil {
		return err
	}
	for _, at := range endpoints {
		s, err := newServer(at, &c.config, secure)
		if err != nil {
			return err
		}
		c.servers = append(c.servers, s)
	}
	return nil
}

// Close closes all connections. It waits for the operations that are under way; later ones fail.
func (c *Client) Close() error {
	c.stop()
	c.keeper.start() // A client that is used after this finds no server, instead of waiting for one.
	c.running.Wait()
	for _, s := range c.servers {
		s.pool.Close()
	}
	return c.metrics.stop()
}

// Features returns what the server in use can do. It waits until it is known which one that is.
func (c *Client) Features(ctx context.Context) (Features, error) {
	in, err := c.keeper.use(ctx)
	if err != nil {
		return Features{}, err
	}
	return *in.server.features.Load(), nil
}

// IsPlain reports whether the server in use has nothing of this service's in its schema, as OpenCloud alone sets it up. Like
// every operation it waits until it is known which server that is. While none answers, it reports what the last one was, and false
// if there has not been any.
func (c *Client) IsPlain() bool {
	// A decision takes no longer while servers keep to the limits of each step: to connect, to bind, and to read the root DSE and
	// the schema, each server after the head start of those before. A false answer would have the operation that follows look
	// for unique keys where there are none.
	one := c.config.DialTimeout + c.config.BindTimeout + 2*c.config.Timeout
	ctx, cancel := context.WithTimeout(context.Background(), one+time.Duration(len(c.servers)-1)*c.keeper.timing.headStart)
	defer cancel()
	features, err := c.Features(ctx)
	if err != nil {
		last := c.keeper.last.Load()
		if last == nil {
			return false
		}
		features = *last.features.Load()
	}
	return features.SchemaKnown && !features.UniqueKeys
}

// Ready returns nil if a server answers and has the bases.
func (c *Client) Ready(ctx context.Context) error {
	for _, base := range c.config.Bases {
		found := false
		err := c.Search(ctx, &wire.SearchRequest{
			Base: base, Scope: wire.ScopeBase, Filter: wire.Present("objectClass"), Attributes: []string{wire.NoAttributes},
		}, func(*wire.Entry) error {
			found = true
			return nil
		})
		if err == nil && !found {
			err = wire.Errorf(wire.ResultNoSuchObject, "not to be seen")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", base, err)
		}
	}
	return nil
}

// maxTries is how often an operation is begun, as long as that is safe, and busyPause the longest wait after a server has
// said that it is busy.
const (
	maxTries  = 4
	busyPause = 100 * time.Millisecond
)

// run carries out an operation on the server in use. When the connection fails, the server is doubted, and the operation
// is repeated if repeatable says that this is safe. After a time-out that is worth the while on another server alone.
func (c *Client) run(ctx context.Context, repeatable func() bool, operation func(*lease) error) error {
	var slow *server
	var failed error
	for try := 1; ; try++ {
		in, err := c.keeper.use(ctx)
		if err != nil {
			return err
		}
		if slow != nil && in.server == slow {
			return failed
		}
		err = in.carryOut(ctx, operation)
		if errors.Is(err, errLeft) {
			try-- // Nothing has been tried.
			continue
		}
		failed = err
		switch code, _ := wire.CodeOf(failed); {
		case code == wire.ResultBusy:
			time.Sleep(rand.N(busyPause))
		case faulty(ctx, failed):
			c.keeper.doubt(in)
		default:
			if failed != nil && ctx.Err() != nil {
				c.keeper.abandoned.Store(true)
			}
			return failed
		}
		if try == maxTries || ctx.Err() != nil || !repeatable() {
			return failed
		}
		if errors.Is(failed, context.DeadlineExceeded) {
			slow = in.server
		}
	}
}

// carryOut runs an operation on a connection to the server. It fails with errLeft, before anything is sent, if there is another
// decision before it has a connection: the server may be one that lags behind the one in use, or never answers.
func (in choice) carryOut(ctx context.Context, operation func(*lease) error) error {
	l, err := in.server.take(ctx, in.left)
	if err != nil {
		return err
	}
	defer l.end()
	return operation(l)
}

// faulty reports whether an operation has failed for a reason that lies with the server or the way to it, not with the
// operation or its caller.
func faulty(ctx context.Context, err error) bool {
	var link *linkError
	var refused *refusedError
	code, _ := wire.CodeOf(err)
	return ctx.Err() == nil && (errors.As(err, &link) || errors.As(err, &refused) || code == wire.ResultUnavailable)
}
