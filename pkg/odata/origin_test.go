package odata

import "testing"

func TestOrigin(t *testing.T) {
	t.Parallel()
	if got := OriginOf(t.Context()); got != "" {
		t.Errorf("origin of a plain context: got %q, want none", got)
	}
	const want = "https://school.example/provisioning"
	if got := OriginOf(WithOrigin(t.Context(), want)); got != want {
		t.Errorf("origin: got %q, want %q", got, want)
	}
}
