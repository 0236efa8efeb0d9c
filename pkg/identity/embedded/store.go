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
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

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
	hashing  chan struct{} // a place for each password that may be hashed at the same time
	proven   atomic.Int64  // when a write last proved the file to be writable, in nanoseconds since 1970

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

// lockWait is how long Open waits for another process to let go of the file.
const lockWait = time.Second

// Open opens the directory, and makes it if there is none. It fails if another process has it open.
func Open(config Config) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(config.Path), 0o700); err != nil {
		return nil, fmt.Errorf("embedded directory: %w", err)
	}
	options := *bolt.DefaultOptions
	options.Timeout = lockWait
	// The list of free pages is found again when the file is opened, instead of being written with every commit.
	options.NoFreelistSync = true
	options.FreelistType = bolt.FreelistMapType
	// The file is mapped larger than it is, so that it seldom has to be mapped anew, which waits for all readers.
	options.InitialMmapSize = 256 << 20
	db, err := bolt.Open(config.Path, 0o600, &options)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("embedded directory: %s is in use by another process", config.Path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("embedded directory: %s must be readable and writable: %w", config.Path, err)
	case err != nil:
		return nil, fmt.Errorf("embedded directory: open %s: %w", config.Path, err)
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
		hashing:  make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	if err := s.prepareFile(); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded directory: %w", err), db.Close())
	}
	go func() {
		defer close(s.finished)
		s.writer.run()
	}()
	if err := s.prepareTree(config.Containers); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded directory: %w", err), s.Close())
	}
	return s, nil
}

// prepareFile makes the buckets that are missing and refuses a file of a format that this version does not know.
func (s *Store) prepareFile() error {
	return s.db.Update(func(tx *bolt.Tx) error {
		buckets := [][]byte{bucketMeta, bucketEntries, bucketNames, bucketChildren, bucketLinks, bucketBacklinks}
		for _, a := range directory.all {
			if a.indexed() {
				buckets = append(buckets, indexBucket(a))
			}
		}
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		if format := meta.Get(metaFormat); format != nil && string(format) != fileFormat {
			return fmt.Errorf("%s has format %q, this version reads format %q", s.db.Path(), format, fileFormat)
		}
		if stamp := meta.Get(metaStamp); len(stamp) == 8 {
			s.writer.last = int64(binary.BigEndian.Uint64(stamp))
		}
		return meta.Put(metaFormat, []byte(fileFormat))
	})
}

// prepareTree creates the containers that are missing and reads the naming contexts.
func (s *Store) prepareTree(containers []string) error {
	names := make([]*match.DN, len(containers))
	for i, container := range containers {
		name, ok := directory.parseDN(container)
		if !ok || len(name.RDNs) == 0 {
			return fmt.Errorf("%q is not the DN of a container", container)
		}
		names[i] = name
	}
	slices.SortStableFunc(names, func(a, b *match.DN) int { return len(a.RDNs) - len(b.RDNs) })
	for _, name := range names {
		if err := s.createContainer(name); err != nil {
			return fmt.Errorf("container %s: %w", name, err)
		}
	}
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

// createContainer creates an entry and its missing ancestors.
func (s *Store) createContainer(name *match.DN) error {
	var missing []*match.DN
	err := s.view(func(tx *bolt.Tx) error {
		for at := name; len(at.RDNs) > 0 && tx.Bucket(bucketNames).Get([]byte(at.Key())) == nil; at = at.Parent() {
			missing = append(missing, at)
			if isContext(at) && !hasAncestor(tx, at) {
				break
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, at := range slices.Backward(missing) {
		attributes, err := containerAttributes(at)
		if err != nil {
			return err
		}
		request := &wire.AddRequest{DN: at.String(), Attributes: attributes}
		add := addition{request: request, context: isContext(at)}
		if _, err := s.write(context.Background(), &operation{prepare: add.prepare}); err != nil {
			return err
		}
	}
	return nil
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
	for at := name.Parent(); len(at.RDNs) > 0; at = at.Parent() {
		if tx.Bucket(bucketNames).Get([]byte(at.Key())) != nil {
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
