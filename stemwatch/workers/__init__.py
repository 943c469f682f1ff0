"""The worker pool: `pool/` schedules songs, `steps/` does the work, `pacing/` says when.

The words that these rooms share:

    lane       one kind of step: SUBMIT, UNPACK, CONFIRM, POLL, FETCH, FILE
    seat       room for one task in a lane; a seat is taken before a song is claimed for it
    turn       one pass of the pool: fill the free seats, then wait for news
    claim      choosing the next song in the journal, the inboxes in turn
    slot       one of the remote's parallel jobs, from a submission's answer to the job's end
    ahead      an upload begun before a slot is free; it holds back its last bytes until one is
    committed  a submission whose intent is on disk and whose last bytes may be sent: may be charged
    critical   a task that a stop waits for, such as a commit under way
    pause      holds lanes back for everybody, or for one inbox, with its cause (`pacing/gate.py`)
    probe      a free question, or a look at a disk, that tells whether a pause is over
    trial      one real song that tries whether a pause is over, where no probe can tell
    trouble    a fault of one song or one folder alone, for which nobody else waits
    rehearsal  doing in a folder what a step does there, with a small file and without a song
    place      the folders of one inbox (`disks/places.py`)
    line       the network connection, which uploads should keep busy
    bell       tells the pool of new jobs, and of an idle seat, slot or line
    anchor     a folder and the disk that it is believed to be on
"""
