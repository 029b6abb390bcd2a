// Closes a hole in the recovery of streams, so that what was confirmed stays readable.
//
// A stream's replica writes a chunk to the newest segment, then its record to the index, then
// confirms it. When it goes on to a new segment it makes the index, then the segment. A recovery
// (osiris_log:first_and_last_seginfos0/1, from osiris 1.3.1 to today's) that finds no record in the
// newest index goes on with the segment before it, but leaves the newest one as it is: the next
// chunk gets the same number, is appended behind the one that has no record, and readers end there
// with `unexpected_chunk_id` for ever. Up to osiris 1.3.1 an index without its segment keeps the
// stream from starting at all (missing_file).
//
// Both are states that a crash leaves, and so are both in a backup of such an instant. What has no
// record was not confirmed.
#pragma once

#include "sidecar/repository/file_system.hpp"

namespace hot_backup {

// `directory` holds the segments and indexes of one replica. Removes its newest index where that
// has no segment and no record, and empties its newest segment where the index has no record: the
// recovery then removes both. Returns whether anything had to be done.
bool repair_stream(const Path& directory);

}  // namespace hot_backup
