// Makes the files of the classic message store such that the recovery of RabbitMQ finds every
// message in them.
//
// Since 3.13.1 the recovery looks at every byte of an .rdq file between messages, as compactions
// leave holes there with rests of what they moved. In each place it takes eight bytes for the
// length of a message. Where the message would end behind what it has read so far, and within the
// file, it reads on; but "within the file" leaves out the eight bytes of the length itself and the
// byte behind the message (`Size < FileSize - Offset`). Where the false message would end up to
// eight bytes behind the end of the file it reads on at the end, gets nothing, and gives up all
// that comes after this place. 4.1.5 and 4.2.0 have `Size + 9 =< FileSize - Offset`.
//
// Zeros at the end of the file move its end away from there. They do no harm: the recovery cuts off
// what follows the last message.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <cstdint>
#include <string_view>

namespace hot_backup {

// Whether the recovery of this version ("4.0.5") has the hole.
bool gives_up_in_holes(std::string_view rabbitmq_version);

// How many zeros to append to an .rdq file with this content so that the scan gives up nowhere,
// whichever bytes it takes for a length: 0 for most files.
std::uint64_t missing_zeros(std::string_view content);

// Appends them to the file. Returns how many.
std::uint64_t repair_message_store_file(const Path& path);

}  // namespace hot_backup
