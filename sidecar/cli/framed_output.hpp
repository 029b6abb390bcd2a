// Frames on standard output, each only when it was asked for: for a program that starts this one
// and cannot make it wait otherwise, such as the broker through a port. docs/json.md, "archive
// --framed".
//
// A frame is `Length:32`, big-endian, and that many bytes, at most 256 KiB. Each byte that is read
// from standard input asks for one more.
#pragma once

#include <string_view>

namespace hot_backup {

class FramedOutput {
public:
    // Cuts into frames; nothing for no bytes. Error interrupted: standard input has ended, who
    // reads us is gone; or a signal came.
    void write(std::string_view bytes);
    // One frame, which may be empty.
    void write_frame(std::string_view bytes);
};

}  // namespace hot_backup
