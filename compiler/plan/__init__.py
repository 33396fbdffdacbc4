"""From operators to rows in an arena: recognise, lower, schedule, order, place in memory."""
