package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressDisplay shows how far a command is: as a bar on a terminal, and otherwise as lines, one every progressPause at
// most. It is a migrate.Progress.
type progressDisplay struct {
	out      io.Writer
	terminal bool
	bar      *progressbar.ProgressBar

	stage       string
	steps, done int
	told        time.Time
}

// The shortest times between two looks of a bar, and between two lines.
const (
	barPause      = 100 * time.Millisecond
	progressPause = 10 * time.Second
)

func newProgressDisplay(out io.Writer) *progressDisplay {
	return &progressDisplay{out: out, terminal: isTerminal(out)}
}

// Begin begins a stage of so many steps, or of -1 if nobody knows.
func (d *progressDisplay) Begin(stage string, steps int) {
	d.stage, d.steps, d.done, d.told = stage, steps, 0, time.Now()
	if d.terminal {
		d.bar = progressbar.NewOptions(steps, progressbar.OptionSetWriter(d.out), progressbar.OptionSetDescription(stage),
			progressbar.OptionShowCount(), progressbar.OptionThrottle(barPause), progressbar.OptionClearOnFinish())
	}
}

// Step counts a step.
func (d *progressDisplay) Step() {
	d.done++
	switch {
	case d.bar != nil:
		_ = d.bar.Add(1) // A terminal that has gone is no reason to stop.
	case time.Since(d.told) >= progressPause:
		d.tell()
	}
}

func (d *progressDisplay) tell() {
	d.told = time.Now()
	if d.steps < 0 {
		fmt.Fprintf(d.out, "%s: %d\n", d.stage, d.done)
		return
	}
	fmt.Fprintf(d.out, "%s: %d of %d\n", d.stage, d.done, d.steps)
}

// End ends the stage.
func (d *progressDisplay) End() {
	if d.bar == nil {
		d.tell()
		return
	}
	_ = d.bar.Finish()
	d.bar = nil
}

// clear takes the bar away until the next step, to make room for a line.
func (d *progressDisplay) clear() {
	if d.bar != nil {
		_ = d.bar.Clear()
	}
}
