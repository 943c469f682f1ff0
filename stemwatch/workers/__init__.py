"""The worker pool: `pool/` schedules songs, `steps/` does the work, `pacing/` says when.

The words that these rooms share:

    lane       one kind of step: SUBMIT, CONFIRM, POLL, FETCH, FILE
    seat       room for one task in a lane; a seat is taken before a song is claimed for it
    turn       one pass of the pool: fill the free seats, then wait for news
    claim      choosing the next song in the journal, the inboxes in turn
    slot       one of the remote's parallel jobs, from a submission's answer to the job's end
    ahead      an upload begun before a slot is free; it holds back its last bytes until one is
    committed  a submission whose intent is on disk and whose last bytes may be sent: it may cost
    critical   a task that a stop waits for, such as a commit under way
    pause      why a lane is held for everybody, or for one inbox (`pacing/gate.py`)
    probe      a free question, or a look at a disk, that tells whether a pause is over
    trial      the one song that may try where no free question can tell
    trouble    what one song or one folder has alone; it waits, and nobody else does
    rehearsal  doing in a folder what a step does there, with a small file and without a song
    place      the folders of one inbox (`disks/places.py`)
    bell       what rings the pool: there is something new, or a seat, slot or the line is idle
    anchor     a folder and the disk that it is believed to be on
"""
