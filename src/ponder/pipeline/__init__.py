"""The stages of R1 as a graph: content-addressed, resumable, one command.

    RUN/pipeline.toml            the resolved recipe: every stage with all its settings
    RUN/pipeline.jsonl           what happened, a line an event
    RUN/lock                     held while a process works here
    RUN/stages/NAME/current      the key of the newest folder
    RUN/stages/NAME/KEY/         the stage's own run folder, and of the pipeline in it:
        key.json                 what KEY is the hash of
        state.json               where it stands: running, stopped, waiting, failed
        stage.json               written last: the stage is done

A stage's KEY is the hash of its kind, its resolved config, the files it reads, the source code it
runs and the KEYs of its inputs. Done under that KEY: skipped. Another KEY: another folder; the old
one stays until it is pruned.
"""
