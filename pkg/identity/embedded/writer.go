package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// The writer takes at most maxBatch writes into one transaction, and at most maxQueue wait for it.
const (
	maxBatch = 256
	maxQueue = 1024
)

// operation is one write on its way to the file.
type operation struct {
	// prepare reads, decides and says what is to be changed; it changes nothing. It may be called again in another
	// transaction. A nil result changes nothing and is a success.
	prepare func(tx *bolt.Tx, at moment) (*changes, error)
	// finish, if not nil, reads the answer after the changes are made.
	finish func(tx *bolt.Tx) (*wire.Entry, error)

	state atomic.Int32
	entry *wire.Entry
	err   error
	done  chan struct{}
}

// The states of an operation. Whoever moves it out of waiting decides whether it is carried out.
const (
	waiting int32 = iota
	started
	abandoned
)

// changes are the puts and deletions of one write, in order.
type changes struct {
	steps []step
	// created is the id of a new entry, or 0.
	created uint64
}

type step struct {
	bucket []byte
	key    []byte
	value  []byte // nil deletes the key
}

func (c *changes) put(bucket, key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	c.steps = append(c.steps, step{bucket, key, value})
}

func (c *changes) delete(bucket, key []byte) {
	c.steps = append(c.steps, step{bucket, key, nil})
}

func (c *changes) apply(tx *bolt.Tx) error {
	for _, step := range c.steps {
		bucket := tx.Bucket(step.bucket)
		var err error
		if step.value == nil {
			err = bucket.Delete(step.key)
		} else {
			err = bucket.Put(step.key, step.value)
		}
		if err != nil {
			return fmt.Errorf("change in bucket %s: %w", step.bucket, err)
		}
	}
	if c.created != 0 {
		return tx.Bucket(bucketEntries).SetSequence(c.created)
	}
	return nil
}

// moment is the time of a write in the two forms that entries keep.
type moment struct {
	// timestamp is a GeneralizedTime with whole seconds, the form that OpenCloud can read.
	timestamp string
	// stamp is greater than the stamp of every earlier write.
	stamp string
}

// writer carries out all writes of a store, one after the other, in the order of their arrival. It commits those that
// wait together in one transaction, because the sync to disk costs more than the writes.
type writer struct {
	db     *bolt.DB
	logger *slog.Logger
	queue  chan *operation
	// last is the time of the last write in microseconds.
	last int64
}

// run works until the queue is closed and empty.
func (w *writer) run() {
	for first := range w.queue {
		w.commit(w.collect(first))
	}
}

// collect starts the first operation and all that wait behind it.
func (w *writer) collect(first *operation) []*operation {
	batch := make([]*operation, 0, 1+min(len(w.queue), maxBatch))
	for next := first; ; {
		if next.state.CompareAndSwap(waiting, started) {
			batch = append(batch, next)
		}
		if len(batch) == maxBatch {
			return batch
		}
		select {
		case more, open := <-w.queue:
			if !open {
				return batch
			}
			next = more
		default:
			return batch
		}
	}
}

// commit carries out a batch and answers each of its operations. An operation that fails half-way costs the
// transaction; the others then start again without it.
func (w *writer) commit(batch []*operation) {
	for len(batch) > 0 {
		failed, err := w.attempt(batch)
		if failed == nil {
			for _, op := range batch {
				if err != nil {
					op.entry, op.err = nil, err
				}
				close(op.done)
			}
			return
		}
		failed.entry, failed.err = nil, err
		close(failed.done)
		rest := make([]*operation, 0, len(batch)-1)
		for _, op := range batch {
			if op != failed {
				rest = append(rest, op)
			}
		}
		batch = rest
	}
}

// attempt carries out a batch in one transaction. If an operation broke down while it changed the file, nothing is
// written, and that operation and its error are returned. An error alone is one of the file; nothing is written
// either. Refusals are in the operations.
func (w *writer) attempt(batch []*operation) (failed *operation, err error) {
	tx, err := w.db.Begin(true)
	if err != nil {
		return nil, w.broken(err)
	}
	committed := false
	defer func() {
		if cause := recover(); cause != nil {
			err = w.broken(fmt.Errorf("panic: %v", cause))
		}
		if !committed {
			_ = tx.Rollback() // fails only where a failed commit has rolled back already
		}
	}()
	changed := false
	for _, op := range batch {
		touched, err := w.carryOut(tx, op)
		if err != nil {
			return op, err
		}
		changed = changed || touched
	}
	if !changed {
		return nil, nil
	}
	if err := w.keepTime(tx); err != nil {
		return nil, w.broken(err)
	}
	if err := tx.Commit(); err != nil {
		return nil, w.broken(err)
	}
	committed = true
	return nil, nil
}

// carryOut carries out one operation. A refusal is kept in the operation and leaves nothing behind; an error means
// that the transaction cannot be used any more.
func (w *writer) carryOut(tx *bolt.Tx, op *operation) (touched bool, err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		w.logger.Error("a write to the embedded directory panicked", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		failure := wire.Errorf(wire.ResultOther, "the directory failed internally")
		if touched {
			err = failure
			return
		}
		op.entry, op.err = nil, failure
	}()
	op.entry, op.err = nil, nil
	changes, refusal := op.prepare(tx, w.now())
	if refusal != nil {
		op.err = refusal
		return false, nil
	}
	if changes != nil {
		touched = true
		if err := changes.apply(tx); err != nil {
			return true, w.broken(err)
		}
	}
	if op.finish != nil {
		op.entry, op.err = op.finish(tx)
		if op.err != nil {
			return true, op.err
		}
	}
	return touched, nil
}

// now returns the time of a write. It never returns the same twice, even if the clock is set back.
func (w *writer) now() moment {
	w.last = max(w.last+1, time.Now().UnixMicro())
	at := time.UnixMicro(w.last).UTC()
	return moment{
		timestamp: at.Format("20060102150405Z"),
		stamp:     at.Format("20060102150405.000000Z") + "#000000#000#000000",
	}
}

// keepTime notes the time of the last write in the file.
func (w *writer) keepTime(tx *bolt.Tx) error {
	return tx.Bucket(bucketMeta).Put(metaStamp, binary.BigEndian.AppendUint64(nil, uint64(w.last)))
}

// broken logs a fault of the file and returns the result for a client: it says nothing about the data.
func (w *writer) broken(err error) error {
	w.logger.Error("the embedded directory cannot be written", "error", err)
	return wire.Errorf(wire.ResultUnavailable, "the directory cannot be written: %v", err)
}

// write queues an operation and waits for its end. While it is queued the context may call it off; once it is started
// it is carried through, and the answer is awaited.
func (s *Store) write(ctx context.Context, op *operation) (*wire.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	op.done = make(chan struct{})
	if err := s.enqueue(ctx, op); err != nil {
		return nil, err
	}
	select {
	case <-op.done:
	case <-ctx.Done():
		if op.state.CompareAndSwap(waiting, abandoned) {
			return nil, ctx.Err()
		}
		<-op.done
	}
	return op.entry, op.err
}

func (s *Store) enqueue(ctx context.Context, op *operation) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return errClosed()
	}
	select {
	case s.writer.queue <- op:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func errClosed() error { return wire.Errorf(wire.ResultUnavailable, "the directory is closed") }
