"""What a page is written from: the runs, the files kept beside them, the schema of the gate's."""
