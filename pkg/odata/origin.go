package odata

import "context"

type originKey struct{}

// WithOrigin returns a context that carries the origin of its request's URLs: scheme and authority under which the
// client sees the service, and the path that a proxy has taken off in front, without a slash at the end, as in
// https://school.example/provisioning. Every absolute URL in a response begins with it.
func WithOrigin(ctx context.Context, origin string) context.Context {
	return context.WithValue(ctx, originKey{}, origin)
}

// OriginOf returns the origin that ctx carries, or the empty string if the client sees the service as the connection
// shows it.
func OriginOf(ctx context.Context) string {
	origin, _ := ctx.Value(originKey{}).(string)
	return origin
}
