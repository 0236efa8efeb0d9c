// Command stage lets a client of other people's making drive the built service. It starts the service on an empty
// directory, puts a proxy that speaks TLS in front of it, as an operator does, and runs a program.
//
//	stage [NAME=value...] <service> <program> [argument...]
//
// The settings are for the service. The program finds them and the stage in its environment:
//
//	EDUCATION_CLIENT_HTTP   the service itself, as in http://127.0.0.1:41234
//	EDUCATION_CLIENT_HTTPS  the proxy, as in https://127.0.0.1:41235
//	EDUCATION_CLIENT_TOKEN  the token for both
//	SSL_CERT_FILE           the certificate of the authority that the proxy's certificate is from, for Go,
//	NODE_EXTRA_CA_CERTS     and for Node
//
// The exit status is not 0 if the program fails or takes too long, or if the service fails meanwhile.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// patience is how long the program may take. A client needs a few seconds.
const patience = 5 * time.Minute

func main() {
	settings, arguments := cutSettings(os.Args[1:])
	if len(arguments) < 2 {
		fmt.Fprintln(os.Stderr, "usage: stage [NAME=value...] <service> <program> [argument...]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, patience)
	err := play(ctx, settings, arguments[0], arguments[1:])
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stage:", err)
		os.Exit(1)
	}
}

// cutSettings cuts the settings off the front of the arguments.
func cutSettings(arguments []string) (settings, rest []string) {
	end := slices.IndexFunc(arguments, func(argument string) bool { return !strings.Contains(argument, "=") })
	if end < 0 {
		return arguments, nil
	}
	return arguments[:end], arguments[end:]
}

// play runs a program against a service that it starts and stops.
func play(ctx context.Context, settings []string, binary string, program []string) (err error) {
	folder, err := os.MkdirTemp("", "education-stage-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	service, err := startService(ctx, settings, binary, filepath.Join(folder, "data"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.stop()) }()
	authority := filepath.Join(folder, "authority.pem")
	proxy, err := startProxy(ctx, service.url, authority)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, proxy.stop()) }()
	command := exec.CommandContext(ctx, program[0], program[1:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.Env = append(append(os.Environ(), settings...),
		"EDUCATION_CLIENT_HTTP="+service.url,
		"EDUCATION_CLIENT_HTTPS="+proxy.url,
		"EDUCATION_CLIENT_TOKEN="+service.token,
		"SSL_CERT_FILE="+authority,
		"NODE_EXTRA_CA_CERTS="+authority,
	)
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", program[0], errors.Join(err, ctx.Err()))
	}
	return nil
}
