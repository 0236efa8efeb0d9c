package migrate

import (
	"context"
	"slices"

	"github.com/opencloud-eu/education/pkg/identity"
)

// InPlace brings the entries of a directory up to date where they stand: those that OpenCloud, or this service without its
// own schema, has written. They get the unique keys that follow from their values, and a note where a blank stands in for a
// value. Of several that claim one key, the oldest gets it, and all are reported, as is everything else that somebody has to
// decide about. It may be called again after an error.
func InPlace(ctx context.Context, side Side, options Options) (*Summary, error) {
	j := newJob(options)
	inventory, err := j.take(ctx, side, nil)
	if err != nil {
		return nil, err
	}
	j.faults(inventory)
	j.oldSchema(side)
	if side.Plain {
		j.report(plainSchema)
	}
	var outdated []*identity.Holding
	for _, h := range inventory.Holdings {
		j.of(h.Set).Entities++
		switch tasks := j.tasks(side, inventory, h); {
		case len(tasks) > 0:
			outdated = append(outdated, h)
			if !options.Apply {
				j.countTasks(h, tasks)
			}
		case h.Addressable():
			j.count(h.Set, Current)
		default:
			j.count(h.Set, Left)
		}
	}
	switch {
	case !options.Apply:
		return j.summary, nil
	case len(outdated) == 0:
		j.summary.Verified = true // The directory has just been read.
		return j.summary, nil
	}
	if err := j.renew(ctx, side, inventory, outdated); err != nil {
		return j.summary, err
	}
	return j.summary, j.verifyInPlace(ctx, side)
}

// plainSchema is the finding about a directory that has nothing of this service's own.
var plainSchema = Finding{Kind: Schema, Text: "The directory's schema lacks educationUniqueKey and educationObject, so that no entry can be brought" +
	" up to date. Load deploy/openldap/schema/education.ldif, or its counterpart for the server, and repeat."}

// outcomes are what the tasks come to.
var outcomes = map[identity.Task]Outcome{
	identity.TaskKeys: Keyed, identity.TaskStandIns: Noted, identity.TaskLinks: Unlinked,
}

// tasks returns what is to be done about an entry and may be.
func (j *job) tasks(side Side, inventory *identity.Inventory, h *identity.Holding) []identity.Task {
	return slices.DeleteFunc(inventory.Tasks(h), func(task identity.Task) bool {
		if task == identity.TaskLinks {
			return !j.RemoveLost
		}
		return side.Plain
	})
}

func (j *job) countTasks(h *identity.Holding, tasks []identity.Task) {
	for _, task := range tasks {
		j.count(h.Set, outcomes[task])
	}
}

// renew does what is to be done about entries. Each is counted once it is done, so that the summary of a run that is broken
// off says no more than was written.
func (j *job) renew(ctx context.Context, side Side, inventory *identity.Inventory, outdated []*identity.Holding) error {
	j.begin("bringing entries up to date", len(outdated))
	defer j.end()
	return each(ctx, outdated, func(h *identity.Holding) error {
		defer j.step()
		tasks := j.tasks(side, inventory, h)
		changed, err := side.Directory.Renew(ctx, inventory, h, tasks...)
		reason, isRefused := refused(err)
		switch {
		case isRefused:
			j.count(h.Set, Left)
			j.about(h, Refused, "%s", reason)
			return nil
		case err != nil:
			return err
		case changed:
			j.countTasks(h, tasks)
		default:
			j.count(h.Set, Current) // Somebody else has done it meanwhile.
		}
		return nil
	})
}

// verifyInPlace reads everything again. That something is left to do means that it was refused or that others have written
// meanwhile.
func (j *job) verifyInPlace(ctx context.Context, side Side) error {
	inventory, err := j.take(ctx, side, nil)
	if err != nil {
		return err
	}
	j.summary.Verified = true
	for _, h := range inventory.Holdings {
		if len(j.tasks(side, inventory, h)) > 0 {
			j.summary.Verified = false
			j.about(h, Unfinished, "it is not up to date; somebody has written meanwhile, or the directory refused the change: repeat")
		}
	}
	return nil
}
