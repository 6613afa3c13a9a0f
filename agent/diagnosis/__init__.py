"""From trouble codes to ranked causes: rules as data, judged by adding points."""
