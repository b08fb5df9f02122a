"""The commands, one module each, by name; a module is imported when its command is asked for."""

COMMANDS = {
    "sweep": "bench.commands.sweep_command:sweep",
    "resume": "bench.commands.resume_command:resume",
    "confirm": "bench.commands.confirm_command:confirm",
    "calibrate": "bench.commands.calibrate_command:calibrate",
    "tune": "bench.commands.tune_command:tune",
    "study": "bench.commands.study_command:study",
    "list": "bench.commands.list_command:list_sweeps",
    "status": "bench.commands.status_command:status",
    "leaderboard": "bench.commands.leaderboard_command:leaderboard",
    "show": "bench.commands.show_command:show",
    "data": "bench.commands.data_command:data",
    "ui": "bench.commands.ui_command:ui",
    "sync": "bench.commands.sync_command:sync",
    "smoke": "bench.commands.smoke_command:smoke",
}
