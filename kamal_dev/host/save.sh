#!/bin/sh
# Print images as the engine saves them, compressed: save.sh IMAGE...
#
# Comes after lib.sh, engine.sh and engine_images.sh in one text. If an image cannot be read, what it prints cannot be loaded.
set -u
image_save "$@" | gzip -1
