package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// heedHangups makes SIGHUP, from now until the process ends, a signal that does not end it: a script that rotates files sends it
// to every service, at any time. It returns the signals, of which one is kept until somebody looks.
//
// In a terminal SIGHUP says that the terminal has gone (POSIX.1-2017, General Terminal Interface, 11.1.10). Then the context
// that is returned ends, as with SIGTERM: nobody would be left who knows of the process and what it holds.
func heedHangups(ctx context.Context, stderr io.Writer) (until context.Context, stop context.CancelFunc, hangups <-chan os.Signal) {
	inTerminal := isInTerminal(stderr) // Before Notify, after which no signal is ignored.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP) // There is no Stop, which would give the signal its usual effect for the last moments.
	if !inTerminal {
		return ctx, func() {}, signals
	}
	until, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
	return until, stop, signals
}

// isInTerminal reports whether the process was started in a terminal that it is to end with. nohup(1) has SIGHUP ignored.
func isInTerminal(stderr io.Writer) bool {
	return !signal.Ignored(syscall.SIGHUP) && (isTerminal(os.Stdin) || isTerminal(stderr))
}
