#!/bin/sh
# Says something on both streams, the last of it without an end of line, and dies at once.
echo "one line"
echo "no database at :5432" >&2
printf 'and a half'
exit 3
