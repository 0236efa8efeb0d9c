// Package embedded is an LDAP directory inside the process: one file, no server to run.
//
// A Store carries out the operations of pkg/identity/wire with the promises of an LDAP server (RFC 4511): schema,
// matching rules, three-valued filters, atomic writes. Beyond them it keeps the promises that the service relies on:
//
//   - An acknowledged write is on disk.
//   - No two entries have a value of educationUniqueKey or of openCloudUUID in common.
//   - Every member and teacher of a class is an entry; whoever is deleted leaves all classes in the same transaction.
//   - openCloudMemberOfSchool holds the openCloudUUID of a school that exists.
//
// Check walks the file and proves the last three.
//
// A Store knows no identities and grants everything to everybody, userPassword included: who may do what is decided by
// those in front of it.
package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/opencloud-eu/education/internal/passwordhash"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Config says where a directory is kept and what it must contain.
type Config struct {
	// Path is the file that holds the directory. It and the folder it lies in are created when they are missing.
	Path string
	// Containers are the DNs of entries that must exist. Missing ones are created, and so are their missing ancestors
	// up to the naming context. A naming context ends in all the dc attributes that a DN ends in (RFC 2247), or else
	// is the last RDN alone.
	Containers []string
	// Logger gets what the people who run the directory should know. Nil discards it.
	Logger *slog.Logger
}

// Store is a directory kept in one file. Its methods may be called at the same time.
type Store struct {
	db       *bolt.DB
	logger   *slog.Logger
	writer   *writer
	finished chan struct{} // closed when the writer has ended
	contexts []string
	hashing  passwordhash.Places
	proven   atomic.Int64 // when a write last proved the file to be writable, in nanoseconds since 1970

	// gate keeps operations from entering the queue once closed is set.
	gate   sync.RWMutex
	closed bool
}

// The keys of the meta bucket, and the format of the file.
var (
	metaFormat = []byte("format")
	metaStamp  = []byte("stamp")
	metaProof  = []byte("proof")
)

const fileFormat = "1"

// Open opens the directory, and makes it if there is none. It fails if another process has it open, and if its file is
// empty or damaged. Indexes that another version left are made anew, which takes some seconds for 100,000 entries.
func Open(config Config) (*Store, error) {
	db, err := openFile(config.Path)
	if err != nil {
		return nil, fmt.Errorf("embedded directory: %w", err)
	}
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		db:       db,
		logger:   logger,
		writer:   &writer{db: db, logger: logger, queue: make(chan *operation, maxQueue)},
		finished: make(chan struct{}),
		hashing:  make(passwordhash.Places, runtime.GOMAXPROCS(0)),
	}
	if err := guarded(config.Path, func() error { return s.prepare(config.Containers) }); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded directory: %w", err), db.Close())
	}
	go func() {
		defer close(s.finished)
		s.writer.run()
	}()
	return s, nil
}

// prepare brings the file to what this version reads and creates the containers that are missing. A new file is made
// in one transaction.
func (s *Store) prepare(containers []string) error {
	names, err := containerNames(containers)
	if err != nil {
		return err
	}
	made, current := false, false
	err = s.db.View(func(tx *bolt.Tx) error {
		if made = tx.Bucket(bucketMeta) != nil; !made {
			return nil
		}
		if err := checkFormat(tx); err != nil {
			return err
		}
		current = hasIndexes(tx)
		if stamp := tx.Bucket(bucketMeta).Get(metaStamp); len(stamp) == 8 {
			s.writer.last = int64(binary.BigEndian.Uint64(stamp))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if made && !current {
		if err := s.rebuildIndexes(); err != nil {
			return err
		}
	}
	err = s.db.Update(func(tx *bolt.Tx) error { return s.prepareTree(tx, made, names) })
	if err != nil && !errors.Is(err, errUnchanged) {
		return err
	}
	return s.readContexts()
}

// baseBuckets are the buckets that every file has. The others are made from them.
var baseBuckets = [][]byte{bucketMeta, bucketEntries, bucketChildren, bucketLinks, bucketBacklinks}

// checkFormat refuses a file of a format that this version does not know.
func checkFormat(tx *bolt.Tx) error {
	for _, name := range baseBuckets {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%s lacks a part of a directory: %s", tx.DB().Path(), name)
		}
	}
	if format := tx.Bucket(bucketMeta).Get(metaFormat); string(format) != fileFormat {
		return fmt.Errorf("%s has format %q, this version reads format %q", tx.DB().Path(), format, fileFormat)
	}
	return nil
}

// errUnchanged ends a transaction that has nothing to write.
var errUnchanged = errors.New("nothing to write")

// prepareTree makes the buckets of a new file, and the containers that are missing.
func (s *Store) prepareTree(tx *bolt.Tx, made bool, containers []*match.DN) error {
	if !made {
		if err := createBuckets(tx, slices.Concat(baseBuckets, indexBuckets())); err != nil {
			return err
		}
		meta := tx.Bucket(bucketMeta)
		if err := errors.Join(meta.Put(metaFormat, []byte(fileFormat)), meta.Put(metaIndexes, indexContents())); err != nil {
			return err
		}
	}
	created := 0
	for _, name := range containers {
		n, err := s.createContainer(tx, name)
		if err != nil {
			return fmt.Errorf("container %s: %w", name, err)
		}
		created += n
	}
	if made && created == 0 {
		return errUnchanged
	}
	return s.writer.keepTime(tx)
}

// containerNames reads the DNs of containers and sorts those above before those below.
func containerNames(containers []string) ([]*match.DN, error) {
	names := make([]*match.DN, len(containers))
	for i, container := range containers {
		name, ok := directory.parseDN(container)
		if !ok || len(name.RDNs) == 0 {
			return nil, fmt.Errorf("%q is not the DN of a container", container)
		}
		names[i] = name
	}
	slices.SortStableFunc(names, func(a, b *match.DN) int { return len(a.RDNs) - len(b.RDNs) })
	return names, nil
}

// readContexts reads the naming contexts.
func (s *Store) readContexts() error {
	return s.view(func(tx *bolt.Tx) error {
		for _, id := range (postings{bucketChildren, idKey(0)}).next(tx, 0, 1<<10, nil) {
			_, _, dn, err := decodeHead(tx.Bucket(bucketEntries).Get(idKey(id)))
			if err != nil {
				return err
			}
			s.contexts = append(s.contexts, strings.Clone(dn))
		}
		return nil
	})
}

// createContainer creates an entry and its missing ancestors, and returns how many it created.
func (s *Store) createContainer(tx *bolt.Tx, name *match.DN) (int, error) {
	var missing []*match.DN
	for at := name; len(at.RDNs) > 0 && findID(tx, at.Key()) == 0; at = at.Parent() {
		missing = append(missing, at)
		if isContext(at) && !hasAncestor(tx, at) {
			break
		}
	}
	for _, at := range slices.Backward(missing) {
		attributes, err := containerAttributes(at)
		if err != nil {
			return 0, err
		}
		add := addition{name: at, attributes: attributes, context: isContext(at)}
		c, err := add.prepare(tx, s.writer.now())
		if err != nil {
			return 0, err
		}
		if err := c.apply(tx); err != nil {
			return 0, err
		}
	}
	return len(missing), nil
}

// isContext says whether a DN may be a naming context: one RDN, or dc attributes only.
func isContext(name *match.DN) bool {
	for _, rdn := range name.RDNs {
		if a := directory.attribute(rdn.Values[0].Attribute); a == nil || a.name != "dc" {
			return len(name.RDNs) == 1
		}
	}
	return true
}

func hasAncestor(tx *bolt.Tx, name *match.DN) bool {
	for key := match.ParentKey(name.Key()); key != ""; key = match.ParentKey(key) {
		if findID(tx, key) != 0 {
			return true
		}
	}
	return false
}

// containerAttributes returns the attributes of a container, whose object class follows from its RDN.
func containerAttributes(name *match.DN) ([]wire.Attribute, error) {
	classes := map[string]string{
		"dc": "domain", "ou": "organizationalUnit", "o": "organization", "cn": "organizationalRole", "l": "locality", "uid": "account",
	}
	if a := directory.attribute(name.RDNs[0].Values[0].Attribute); a != nil && classes[a.name] != "" {
		return []wire.Attribute{{Type: attributeObjectClass, Values: []string{classes[a.name]}}}, nil
	}
	return nil, errors.New("only dc, ou, o, l, cn and uid name containers that can be created")
}

// Close finishes the writes that are queued and closes the file. Every later call returns ResultUnavailable.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.closed {
		s.gate.Unlock()
		return nil
	}
	s.closed = true
	s.gate.Unlock()
	close(s.writer.queue)
	<-s.finished
	return s.db.Close()
}

// view runs a function in a read transaction. It must be short: a file that has to grow waits for it.
func (s *Store) view(read func(tx *bolt.Tx) error) error {
	tx, err := s.db.Begin(false)
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return errClosed()
	case err != nil:
		return wire.Errorf(wire.ResultUnavailable, "the directory cannot be read: %v", err)
	}
	defer func() { _ = tx.Rollback() }() // of a read transaction, which cannot fail
	return read(tx)
}

// proofLife is how long a proof that the file can be written is believed.
const proofLife = 5 * time.Second

// Ready returns nil if the directory can be read and written. It proves the latter by a small write, whose success is
// remembered for some seconds.
func (s *Store) Ready(ctx context.Context) error {
	err := s.view(func(tx *bolt.Tx) error {
		if string(tx.Bucket(bucketMeta).Get(metaFormat)) != fileFormat {
			return wire.Errorf(wire.ResultUnavailable, "the directory's file has lost its format")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if proven := time.Unix(0, s.proven.Load()); time.Since(proven).Abs() < proofLife {
		return nil
	}
	now := time.Now()
	proof := &operation{prepare: func(_ *bolt.Tx, at moment) (*changes, error) {
		c := &changes{}
		c.put(bucketMeta, metaProof, []byte(at.stamp))
		return c, nil
	}}
	if _, err := s.write(ctx, proof); err != nil {
		return err
	}
	s.proven.Store(now.UnixNano())
	return nil
}

// NamingContexts returns the DNs of the entries that have none above them.
func (s *Store) NamingContexts() []string { return slices.Clone(s.contexts) }
