package identity

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// traced is Operations with a span around each operation. A span names the operation, its scope and its result code;
// DNs, filters and values stay out of it, because they name people.
type traced struct {
	next   Operations
	tracer trace.Tracer
}

// Traced returns ops with a span for each operation, reported to the global tracer provider.
func Traced(ops Operations) Operations {
	return &traced{next: ops, tracer: otel.Tracer("github.com/opencloud-eu/education/pkg/identity")}
}

// start begins the span of an operation.
func (t *traced) start(ctx context.Context, operation string) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, "ldap "+operation, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("ldap.operation", operation)))
}

// finish ends a span with the operation's result.
func finish(span trace.Span, err error) {
	if err != nil {
		code, isResult := wire.CodeOf(err)
		if isResult {
			span.SetAttributes(attribute.Int("ldap.result_code", int(code)))
		}
		if !isResult || code == wire.ResultOther {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End()
}

func (t *traced) Search(ctx context.Context, request *wire.SearchRequest, yield func(*wire.Entry) error) error {
	ctx, span := t.start(ctx, "search")
	entries := 0
	err := t.next.Search(ctx, request, func(entry *wire.Entry) error {
		entries++
		return yield(entry)
	})
	span.SetAttributes(attribute.Int("ldap.scope", int(request.Scope)), attribute.Int("ldap.entries", entries))
	if errors.Is(err, errStop) {
		finish(span, nil)
		return err
	}
	finish(span, err)
	return err
}

func (t *traced) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	ctx, span := t.start(ctx, "add")
	entry, err := t.next.Add(ctx, request)
	finish(span, err)
	return entry, err
}

func (t *traced) Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	ctx, span := t.start(ctx, "modify")
	entry, err := t.next.Modify(ctx, request)
	finish(span, err)
	return entry, err
}

func (t *traced) ModifyDN(ctx context.Context, request *wire.ModifyDNRequest) error {
	ctx, span := t.start(ctx, "modifyDN")
	err := t.next.ModifyDN(ctx, request)
	finish(span, err)
	return err
}

func (t *traced) Delete(ctx context.Context, request *wire.DeleteRequest) error {
	ctx, span := t.start(ctx, "delete")
	err := t.next.Delete(ctx, request)
	finish(span, err)
	return err
}

func (t *traced) HashPassword(ctx context.Context, cleartext string) (string, error) {
	ctx, span := t.start(ctx, "hash password")
	hash, err := t.next.HashPassword(ctx, cleartext)
	finish(span, err)
	return hash, err
}
