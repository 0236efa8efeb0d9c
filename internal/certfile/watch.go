package certfile

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"time"
)

const (
	// Interval is the time between two looks at the files.
	Interval = 2 * time.Second
	// nearExpiry is how long before its end a certificate is warned of, and warningInterval how often.
	nearExpiry      = 30 * 24 * time.Hour
	warningInterval = 24 * time.Hour
)

// Watch looks at the files until ctx ends and takes up what is written into them. What cannot be used leaves the
// certificate that is there in place, and is logged once. The end of each certificate's validity is logged, and warned
// of each day when it is near. Name says in the log whose certificate it is.
func (c *Certificate) Watch(ctx context.Context, logger *slog.Logger, name string) {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	w := &watch{certificate: c, logger: logger.With("certificate", name)}
	for now := time.Now(); ; {
		w.look(ctx, now)
		select {
		case <-ctx.Done():
			return
		case now = <-ticker.C:
		}
	}
}

// watch is what Watch remembers from one look to the next.
type watch struct {
	certificate *Certificate
	logger      *slog.Logger
	// shown is the certificate whose validity has been logged, and warned the time of the last warning of its end.
	shown  *pair
	warned time.Time
	// broken is what could not be used at the last look. It is complained about at the second one, because certificate
	// and key are written one after the other, and complained says that it has been.
	broken     failure
	complained bool
}

// failure tells one thing that cannot be used from the next.
type failure struct {
	digest [sha256.Size]byte
	text   string
}

// look reads the files and says what there is to say.
func (w *watch) look(ctx context.Context, now time.Time) {
	content, err := w.certificate.files.read()
	digest := content.digest()
	if err == nil && digest != w.certificate.current.Load().digest {
		var next *pair
		if next, err = w.certificate.parse(content); err == nil {
			w.certificate.current.Store(next)
		}
	}
	if err == nil {
		w.broken, w.complained = failure{}, false
	} else {
		w.complain(ctx, failure{digest, err.Error()})
	}
	w.announce(ctx, now)
}

// complain logs what cannot be used when it is seen for the second time.
func (w *watch) complain(ctx context.Context, seen failure) {
	switch {
	case seen != w.broken:
		w.broken, w.complained = seen, false
	case !w.complained:
		w.logger.WarnContext(ctx, "the certificate's files cannot be used; the certificate that was there before stays in use", "cause", seen.text)
		w.complained = true
	}
}

// announce logs the validity of a certificate that has not been seen before, and warns when its end is near.
func (w *watch) announce(ctx context.Context, now time.Time) {
	current := w.certificate.current.Load()
	ends := current.leaf.NotAfter
	if w.shown != current {
		w.logger.InfoContext(ctx, "a certificate is in use", "subject", current.leaf.Subject.String(), "serial", current.leaf.SerialNumber.Text(16), "not_after", ends)
		w.shown, w.warned = current, time.Time{}
	}
	if left := ends.Sub(now); left < nearExpiry && now.Sub(w.warned) >= warningInterval {
		w.logger.WarnContext(ctx, message(left), "not_after", ends)
		w.warned = now
	}
}

// message is the warning of a certificate that ends after the given time.
func message(left time.Duration) string {
	if left <= 0 {
		return "the certificate has expired; clients refuse it"
	}
	return "the certificate expires soon"
}
