"""The commands of the command line, by what they are about: studies, results, schedules, trust, data."""
