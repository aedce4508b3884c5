#!/bin/sh
# Fills its output without end.
exec yes "this is a line of a program that talks too much"
