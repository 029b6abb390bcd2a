// SIGINT, SIGTERM and SIGHUP as an Error at the next safe place.
//
// The handler only sets a flag; the work asks for it where it may stop and cleans up behind itself
// by unwinding.
#pragma once

namespace hot_backup {

// Installs the handlers, except for a signal that is ignored already (nohup), without SA_RESTART,
// so that waiting system calls return; ignores SIGPIPE, so that a reader that went away is an error
// of write().
void catch_signals();

// Throws Error (interrupted) once one of the signals has come.
void throw_if_interrupted();

}  // namespace hot_backup
