#!/bin/sh
# Leaves a daemon behind: forked twice, in a session of its own. With "stay" it lives on beside it.
( setsid sh -c 'sleep 100000 & echo "daemon $$ $!"; wait' & )
[ "$1" = stay ] && exec sleep 100000
exit 0
