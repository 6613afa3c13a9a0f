#!/bin/sh
exec env PYTHONPATH=/opt/outrider/lib PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1 /usr/bin/@PYTHON@ -P -m @MODULE@ "$@"
