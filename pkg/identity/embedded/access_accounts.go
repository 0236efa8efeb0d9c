package embedded

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/opencloud-eu/education/internal/secretfile"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// The files in the data directory that hold the passwords of the accounts.
const (
	AdminPasswordFile  = "ldap-admin.password"
	ReaderPasswordFile = "ldap-reader.password"
)

// EnsureAccounts makes sure that the accounts cn=admin and cn=reader exist below the naming context, each with the
// password in its file in dataDir. A file that is missing is made with a random password of 256 bits, readable by its
// owner alone. The file is the truth: an operator changes a password by editing the file and starting anew, a password
// that was changed over LDAP lasts until the next start, and so is a crash between the two writes repaired.
func EnsureAccounts(ctx context.Context, store *Store, dataDir, namingContext string) (Accounts, error) {
	accounts := Accounts{AdminDN: "cn=admin," + namingContext, ReaderDN: "cn=reader," + namingContext}
	for _, account := range []struct{ dn, file, description string }{
		{accounts.AdminDN, AdminPasswordFile, "Administers this directory."},
		{accounts.ReaderDN, ReaderPasswordFile, "Reads this directory for OpenCloud."},
	} {
		password, err := secretfile.Ensure(filepath.Join(dataDir, account.file))
		if err != nil {
			return Accounts{}, err
		}
		if err := ensureAccount(ctx, store, account.dn, password, account.description); err != nil {
			return Accounts{}, fmt.Errorf("account %s: %w", account.dn, err)
		}
	}
	return accounts, nil
}

// ensureAccount makes sure that the entry exists and has the password.
func ensureAccount(ctx context.Context, store *Store, dn, password, description string) error {
	// VerifyPassword would take as long for an account that is not there as for one with a slow hash. At a start nobody is there
	// to learn from the time.
	hashes, err := store.passwordHashes(dn)
	if err != nil {
		return err
	}
	if right, err := store.verifyAny(ctx, hashes, password); right || err != nil {
		return err
	}
	// 256 random bits need no slow hash, and OpenCloud binds often.
	hashed := HashSSHA512(password)
	_, err = store.Modify(ctx, replacePassword(dn, hashed))
	if code, isResult := wire.CodeOf(err); !isResult || code != wire.ResultNoSuchObject {
		return err
	}
	_, err = store.Add(ctx, &wire.AddRequest{DN: dn, Attributes: []wire.Attribute{
		{Type: attributeObjectClass, Values: []string{"organizationalRole", "simpleSecurityObject"}},
		{Type: "description", Values: []string{description}},
		{Type: attributeUserPassword, Values: []string{hashed}},
	}})
	return err
}
