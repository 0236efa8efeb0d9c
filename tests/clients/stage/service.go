package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// How long the service may take to start and to stop. It takes milliseconds; the machine may be busy.
const (
	startPatience = 20 * time.Second
	stopPatience  = 30 * time.Second
)

// service is a running service.
type service struct {
	// url is where its HTTP listener is, without a path.
	url string
	// token opens the API.
	token   string
	command *exec.Cmd
	// faults receives, once the process has closed its log, what the log says went wrong.
	faults <-chan error
}

// logLine is what counts in a line of the service's log.
type logLine struct {
	Level   string `json:"level"`
	Message string `json:"msg"`
	HTTP    string `json:"http"`
}

// startService runs the service with the given settings on an empty data folder and free ports, and returns when it
// listens. It believes a proxy on this machine what it says about the URL that the client sees. Of the environment it
// gets only the path, so that no other setting of whoever runs the clients reaches it.
func startService(ctx context.Context, settings []string, binary, dataDir string) (*service, error) {
	command := exec.Command(binary)
	command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"EDUCATION_HTTP_ADDR=127.0.0.1:0",
		"EDUCATION_LDAP_LISTEN=127.0.0.1:0",
		"EDUCATION_DATA_DIR=" + dataDir,
		"EDUCATION_TRUSTED_PROXIES=127.0.0.1",
		"EDUCATION_LOG_FORMAT=json",
	}, settings...)
	log, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return nil, err
	}
	listening, faults := watch(log)
	s := &service{command: command, faults: faults}
	if err := s.wait(ctx, listening, dataDir); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// wait waits until the service listens, and learns where, and its token.
func (s *service) wait(ctx context.Context, listening <-chan string, dataDir string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	select {
	case address, ok := <-listening:
		if !ok {
			return errors.New("the service ended before it listened")
		}
		s.url = "http://" + address
	case <-ctx.Done():
		return fmt.Errorf("the service does not listen: %w", ctx.Err())
	}
	token, err := os.ReadFile(filepath.Join(dataDir, "token"))
	s.token = strings.TrimSpace(string(token))
	return err
}

// watch reads the log of a service to its end. The first channel receives the address of the HTTP listener and is
// closed with the log; the second receives what the log reports as failed, or nil.
func watch(log io.Reader) (<-chan string, <-chan error) {
	listening, faults := make(chan string, 1), make(chan error, 1)
	go func() {
		defer close(listening)
		var found []error
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			var line logLine
			switch err := json.Unmarshal(lines.Bytes(), &line); {
			case err != nil, line.Level == "ERROR":
				found = append(found, fmt.Errorf("the service's log: %s", lines.Text()))
			case line.Message == "listening":
				listening <- line.HTTP
			}
		}
		faults <- errors.Join(append(found, lines.Err())...)
	}()
	return listening, faults
}

// stop ends the service as an operator does, and returns what went wrong while it ran or as it ended.
func (s *service) stop() error {
	// A process that has ended already is reported by Wait.
	_ = s.command.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopPatience, func() { _ = s.command.Process.Kill() })
	defer kill.Stop()
	// Wait closes the pipe, so the log is read first.
	faults := <-s.faults
	if err := s.command.Wait(); err != nil {
		return errors.Join(faults, fmt.Errorf("the service: %w", err))
	}
	return faults
}
