// Holds the precompiled <catch2/catch.hpp>, see tests/CMakeLists.txt.
