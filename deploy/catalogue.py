"""Puts a file into an S3 store, in a bucket that is made where it is missing: catalogue.py FILE s3://bucket/name."""

import sys

from contract import storage

source, target = sys.argv[1:]
try:
    filesystem, path = storage.open_promptly(target)
    filesystem.makedirs(path.partition("/")[0], exist_ok=True)
    filesystem.put_file(source, path)
except storage.read_errors() as error:
    print(f"error: cannot put {source} to {target}: {storage.reason_of(error, target)}", file=sys.stderr)
    sys.exit(2)
