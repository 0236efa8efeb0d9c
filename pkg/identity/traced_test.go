package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// answers is Operations that give one answer to everything.
type answers struct{ err error }

func (a answers) Search(_ context.Context, _ *wire.SearchRequest, yield func(*wire.Entry) error) error {
	return errors.Join(yield(parseEntry("uid=secret-name,"+userBase, "cn: secret-value")), a.err)
}

func (a answers) Add(context.Context, *wire.AddRequest) (*wire.Entry, error) { return nil, a.err }

func (a answers) Modify(context.Context, *wire.ModifyRequest) (*wire.Entry, error) { return nil, a.err }
func (a answers) ModifyDN(context.Context, *wire.ModifyDNRequest) error            { return a.err }
func (a answers) Delete(context.Context, *wire.DeleteRequest) error                { return a.err }
func (a answers) HashPassword(context.Context, string) (string, error)             { return "secret-hash", a.err }

func TestTraced(t *testing.T) {
	t.Parallel()
	secretAttributes := []wire.Attribute{{Type: "secret-attribute", Values: []string{"secret-value"}}}
	tests := []struct {
		name   string
		err    error
		status codes.Code
		code   string
	}{
		{"success", nil, codes.Unset, ""},
		{"an answer", wire.Errorf(wire.ResultNoSuchObject, "secret-message"), codes.Unset, "32"},
		{"no answer", errors.New("secret-host"), codes.Error, ""},
		{"other", wire.Errorf(wire.ResultOther, "secret-message"), codes.Error, "80"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			spans := tracetest.NewSpanRecorder()
			ops := &traced{
				next:   answers{test.err},
				tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test"),
			}
			dn := "uid=secret-name," + userBase
			_ = ops.Search(ctx, &wire.SearchRequest{Base: dn, Filter: wire.Equal("uid", "secret-value")}, func(*wire.Entry) error { return nil })
			_, _ = ops.Add(ctx, &wire.AddRequest{DN: dn, Attributes: secretAttributes})
			_, _ = ops.Modify(ctx, &wire.ModifyRequest{DN: dn, Changes: []wire.Change{{Attribute: secretAttributes[0]}}})
			_ = ops.ModifyDN(ctx, &wire.ModifyDNRequest{DN: dn, NewRDN: "uid=secret-other"})
			_ = ops.Delete(ctx, &wire.DeleteRequest{DN: dn})
			_, _ = ops.HashPassword(ctx, "secret-password")
			if got := len(spans.Ended()); got != 6 {
				t.Fatalf("got %d spans, want 6", got)
			}
			for _, span := range spans.Ended() {
				shown := fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Status())
				if strings.Contains(shown, "secret") {
					t.Errorf("the span shows what it must not: %s", shown)
				}
				if span.Status().Code != test.status {
					t.Errorf("%s: got the status %v, want %v", span.Name(), span.Status().Code, test.status)
				}
				code := ""
				for _, attribute := range span.Attributes() {
					if attribute.Key == "ldap.result_code" {
						code = attribute.Value.String()
					}
				}
				if code != test.code {
					t.Errorf("%s: got the result code %q, want %q", span.Name(), code, test.code)
				}
			}
		})
	}
}

// TestTracedSearchThatIsLeft sees to it that a list which its reader leaves counts as no failure.
func TestTracedSearchThatIsLeft(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	ops := &traced{next: answers{}, tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")}
	err := ops.Search(t.Context(), &wire.SearchRequest{Base: userBase, Filter: everything}, func(*wire.Entry) error { return errStop })
	if !errors.Is(err, errStop) {
		t.Errorf("got the error %v", err)
	}
	if got := spans.Ended()[0].Status().Code; got != codes.Unset {
		t.Errorf("got the status %v", got)
	}
}
