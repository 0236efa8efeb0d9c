package remote

import (
	"context"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Authenticate reports whether a password is that of an entry, by a bind on a connection of its own to the server in use. An
// empty password never is (RFC 4513, section 5.1.2).
func (c *Client) Authenticate(ctx context.Context, dn, password string) (bool, error) {
	if password == "" {
		return false, ctx.Err()
	}
	in, err := c.keeper.use(ctx)
	if err != nil {
		return false, err
	}
	connection, err := in.server.reach(ctx)
	if err != nil {
		return false, err
	}
	defer connection.close()
	request := &wire.BindRequest{Version: ldapVersion, Name: dn, Method: wire.AuthSimple, Password: password}
	response, _, err := connection.call(ctx, c.config.BindTimeout, request)
	switch {
	case err != nil:
		return false, err
	case response.Code == wire.ResultInvalidCredentials, response.Code == wire.ResultInappropriateAuthentication:
		return false, nil
	}
	return response.Code == wire.ResultSuccess, response.Err()
}
