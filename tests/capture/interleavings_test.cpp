// Changes between two looks of a live copy, within a pass and after the cut, that could make it
// take one file for another or miss one: each at every moment at which it may come.
#include "tests/capture/interleavings.hpp"

#include <catch2/catch.hpp>

using namespace capture_test;
using mutator::change_mode;
using mutator::make_directory;
using mutator::make_symlink;
using mutator::remove_file;
using mutator::remove_tree;
using mutator::rename_path;

TEST_CASE("files that take each other's names") {
    for (const Scenario& scenario : std::vector<Scenario>{
             {"two change places through a third name", two_directories,
              [](const Path& data) {
                  rename_path(data / "a/file", data / "t");
                  rename_path(data / "b/file", data / "a/file");
                  rename_path(data / "t", data / "b/file");
              }},
             {"two are exchanged", two_directories,
              [](const Path& data) { exchange(data / "a/file", data / "b/file"); }},
             {"one goes there and back", two_directories,
              [](const Path& data) {
                  rename_path(data / "a/file", data / "b/new");
                  rename_path(data / "b/new", data / "a/file");
              }},
             {"one replaces another", two_directories,
              [](const Path& data) { rename_path(data / "a/file", data / "b/file"); }},
             {"one moves on and a new one takes its name", two_directories,
              [](const Path& data) {
                  rename_path(data / "a/file", data / "a/old");
                  put(data / "a/file", 9000);
              }},
             {"a chain of names moves up", two_directories, [](const Path& data) {
                  rename_path(data / "b/other", data / "b/last");
                  rename_path(data / "b/file", data / "b/other");
                  rename_path(data / "a/file", data / "b/file");
              }}}) {
        play_everywhere(scenario);
    }
}

TEST_CASE("files that are replaced under their own name") {
    for (const Scenario& scenario :
         std::vector<Scenario>{{"deleted and made again with the same length", two_directories,
                                [](const Path& data) {
                                    remove_file(data / "a/file");
                                    put(data / "a/file", 10000);
                                }},
                               {"made, deleted and made again", two_directories,
                                [](const Path& data) {
                                    put(data / "new", 5000);
                                    remove_file(data / "new");
                                    put(data / "new", 5000);
                                }},
                               {"made and deleted", two_directories,
                                [](const Path& data) {
                                    put(data / "new", 5000);
                                    remove_file(data / "new");
                                }},
                               {"rewritten, with the times that it had", two_directories,
                                [](const Path& data) {
                                    const struct stat before = status_of(data / "a/file");
                                    overwrite(data / "a/file", 4090);
                                    set_times_of(data / "a/file", before);
                                }},
                               {"an index that is made again, longer",
                                [](const Path& data) { put(data / "queues/Q/0.idx", 5000); },
                                [](const Path& data) {
                                    remove_file(data / "queues/Q/0.idx");
                                    put(data / "queues/Q/0.idx", 9000);
                                }},
                               {"an index that is made again, shorter",
                                [](const Path& data) { put(data / "queues/Q/0.idx", 5000); },
                                [](const Path& data) {
                                    remove_file(data / "queues/Q/0.idx");
                                    put(data / "queues/Q/0.idx", 100);
                                }},
                               {"emptied", two_directories,
                                [](const Path& data) { OpenFile(data / "a/file").truncate(0); }},
                               {"truncated, then longer than before", two_directories,
                                [](const Path& data) {
                                    OpenFile(data / "a/file").truncate(5000);
                                    append(data / "a/file", 9000);
                                }},
                               {"longer by a hole, with something at its end", two_directories,
                                [](const Path& data) { overwrite(data / "single", 300000); }},
                               {"only its times change", two_directories, [](const Path& data) {
                                    const struct stat long_ago {};
                                    set_times_of(data / "a/file", long_ago);
                                }}}) {
        play_everywhere(scenario);
    }
}

TEST_CASE("files that somebody keeps open") {
    for (const Scenario& scenario : std::vector<Scenario>{
             {"written after they were renamed", two_directories,
              [](const Path& data) {
                  OpenFile file(data / "a/file");
                  rename_path(data / "a/file", data / "b/new");
                  file.write_at(10, fresh(20));
                  put(data / "a/file", 10000);
                  file.append(fresh(20));
              }},
             {"written after they were deleted", two_directories,
              [](const Path& data) {
                  OpenFile file(data / "a/file");
                  remove_file(data / "a/file");
                  file.append(fresh(20));
              }},
             {"written after another took their name", two_directories,
              [](const Path& data) {
                  OpenFile file(data / "a/file");
                  rename_path(data / "b/file", data / "a/file");
                  file.append(fresh(20));
              }},
             {"written after their directory was moved", two_directories,
              [](const Path& data) {
                  OpenFile file(data / "a/inner/file");
                  rename_path(data / "a", data / "c");
                  file.append(fresh(20));
              }},
             {"written after their directory was moved out and back", two_directories,
              [](const Path& data) {
                  OpenFile file(data / "a/inner/file");
                  rename_path(data / "a", outside(data) / "a");
                  file.append(fresh(20));
                  rename_path(outside(data) / "a", data / "a");
                  file.append(fresh(20));
              }},
             {"of two names, written through either", two_directories,
              [](const Path& data) {
                  std::filesystem::create_hard_link(data / "a/file", data / "b/link");
                  overwrite(data / "b/link", 100);
                  append(data / "a/file");
              }},
             {"of two names, written through the new one",
              [](const Path& data) {
                  two_directories(data);
                  std::filesystem::create_hard_link(data / "a/file", data / "b/link");
              },
              [](const Path& data) { overwrite(data / "b/link", 100); }},
             {"given another name, and written through that", two_directories,
              [](const Path& data) {
                  std::filesystem::create_hard_link(data / "a/file", data / "b/link");
                  overwrite(data / "b/link", 100);
              }},
             {"given another name, which is left alone", two_directories, [](const Path& data) {
                  std::filesystem::create_hard_link(data / "a/file", data / "b/link");
                  remove_file(data / "a/file");
                  append(data / "b/link");
              }}}) {
        play_everywhere(scenario);
    }
}

TEST_CASE("directories that move") {
    for (const Scenario& scenario : std::vector<Scenario>{
             {"to another name", two_directories,
              [](const Path& data) {
                  rename_path(data / "a", data / "c");
                  append(data / "c/inner/file");
              }},
             {"to another name, which is deleted", two_directories,
              [](const Path& data) {
                  rename_path(data / "a", data / "c");
                  remove_tree(data / "c");
              }},
             {"and a new one takes the name", two_directories,
              [](const Path& data) {
                  rename_path(data / "a", data / "c");
                  put(data / "a/file", 10000);
                  append(data / "c/file");
                  append(data / "a/file");
              }},
             {"two change places", two_directories,
              [](const Path& data) {
                  rename_path(data / "a", data / "t");
                  rename_path(data / "b", data / "a");
                  rename_path(data / "t", data / "b");
                  append(data / "a/file");
                  append(data / "b/inner/file");
              }},
             {"two are exchanged", two_directories,
              [](const Path& data) {
                  exchange(data / "a", data / "b");
                  append(data / "a/other");
              }},
             {"one is exchanged with a file", two_directories,
              [](const Path& data) {
                  exchange(data / "a", data / "single");
                  append(data / "single/inner/file");
                  append(data / "a");
              }},
             {"into the other one", two_directories,
              [](const Path& data) {
                  rename_path(data / "a", data / "b/a");
                  append(data / "b/a/inner/file");
              }},
             {"their parent moves after them", two_directories,
              [](const Path& data) {
                  rename_path(data / "a/inner", data / "b/inner");
                  rename_path(data / "b", data / "a/b");
                  append(data / "a/b/inner/file");
              }},
             {"in, with all they hold",
              [](const Path& data) {
                  two_directories(data);
                  put(outside(data) / "n/deep/er/file", 9000);
                  make_symlink("target", outside(data) / "n/link");
              },
              [](const Path& data) {
                  rename_path(outside(data) / "n", data / "n");
                  append(data / "n/deep/er/file");
              }},
             {"in over an empty one that was there",
              [](const Path& data) {
                  put(outside(data) / "n/deep/file", 9000);
                  make_directory(data / "n");
              },
              [](const Path& data) {
                  rename_path(outside(data) / "n", data / "n");
                  append(data / "n/deep/file");
              }},
             {"out", two_directories,
              [](const Path& data) { rename_path(data / "a", outside(data) / "a"); }},
             {"out, are written to there, and a new one takes the name", two_directories,
              [](const Path& data) {
                  rename_path(data / "a", outside(data) / "a");
                  append(outside(data) / "a/file");
                  append(outside(data) / "a/inner/file");
                  put(data / "a/file", 10000);
                  append(outside(data) / "a/file");
              }},
             {"out, are written to there, and come back", two_directories,
              [](const Path& data) {
                  rename_path(data / "a", outside(data) / "a");
                  overwrite(outside(data) / "a/inner/file", 0);
                  rename_path(outside(data) / "a", data / "a");
              }},
             {"out, and come back under another name", two_directories, [](const Path& data) {
                  rename_path(data / "a", outside(data) / "a");
                  overwrite(outside(data) / "a/inner/file", 0);
                  rename_path(outside(data) / "a", data / "c");
                  overwrite(data / "c/inner/file", 50);
              }}}) {
        play_everywhere(scenario);
    }
}

TEST_CASE("directories that come and go") {
    for (const Scenario& scenario :
         std::vector<Scenario>{{"deleted and made again with the same names", two_directories,
                                [](const Path& data) {
                                    remove_tree(data / "a");
                                    put(data / "a/file", 10000);
                                    put(data / "a/inner/file");
                                }},
                               {"deleted and made again with others", two_directories,
                                [](const Path& data) {
                                    remove_tree(data / "a");
                                    put(data / "a/inner", 10);
                                    put(data / "a/file/file", 10);
                                }},
                               {"made, filled and deleted", two_directories,
                                [](const Path& data) {
                                    put(data / "n/deep/file", 9000);
                                    remove_tree(data / "n");
                                }},
                               {"made, filled, deleted, made and filled", two_directories,
                                [](const Path& data) {
                                    for (int times = 0; times < 20; ++times) {
                                        remove_tree(data / "n");
                                        put(data / "n/deep/file", 5000);
                                    }
                                }},
                               {"deep ones, written to at the bottom", two_directories,
                                [](const Path& data) {
                                    Path path = data;
                                    for (int depth = 0; depth < 60; ++depth) {
                                        path /= "d";
                                    }
                                    put(path / "file");
                                    append(path / "file");
                                }},
                               {"empty ones", two_directories,
                                [](const Path& data) {
                                    std::filesystem::create_directories(data / "e/m/p/t/y");
                                    remove_tree(data / "b");
                                    make_directory(data / "b");
                                }},
                               {"many files at once", two_directories,
                                [](const Path& data) {
                                    for (int number = 0; number < 40; ++number) {
                                        put(data / "n" / std::to_string(number), 30);
                                    }
                                }},
                               {"all but the root", two_directories, [](const Path& data) {
                                    for (const char* name : {"a", "b", "single"}) {
                                        remove_tree(data / name);
                                    }
                                }}}) {
        play_everywhere(scenario);
    }
}

TEST_CASE("names that become something else") {
    const auto links = [](const Path& data) {
        two_directories(data);
        make_symlink("single", data / "link");
        make_symlink("a", data / "link_to_directory");
        make_symlink("/nowhere", data / "dangling");
    };
    for (const Scenario& scenario : std::vector<Scenario>{
             {"a file a directory", two_directories,
              [](const Path& data) {
                  remove_file(data / "a/file");
                  put(data / "a/file/inner");
              }},
             {"a directory a file", two_directories,
              [](const Path& data) {
                  remove_tree(data / "a/inner");
                  put(data / "a/inner", 9000);
              }},
             {"a file a link", two_directories,
              [](const Path& data) {
                  remove_file(data / "a/file");
                  make_symlink("inner/file", data / "a/file");
              }},
             {"a link a file", links,
              [](const Path& data) {
                  remove_file(data / "link");
                  put(data / "link");
              }},
             {"a directory a link to one", two_directories,
              [](const Path& data) {
                  rename_path(data / "a", data / "c");
                  make_symlink("c", data / "a");
                  append(data / "c/file");
              }},
             {"a link to a directory a directory", links,
              [](const Path& data) {
                  remove_file(data / "link_to_directory");
                  put(data / "link_to_directory/file");
              }},
             {"a link another link", links,
              [](const Path& data) {
                  make_symlink("b", data / "new");
                  rename_path(data / "new", data / "link_to_directory");
                  remove_file(data / "dangling");
                  make_symlink("/nowhere/else", data / "dangling");
              }},
             {"a link is replaced by a file", links,
              [](const Path& data) { rename_path(data / "single", data / "link"); }},
             {"a file is replaced by a link", links,
              [](const Path& data) { rename_path(data / "link", data / "single"); }},
             {"modes", links,
              [](const Path& data) {
                  change_mode(data, 0700);
                  change_mode(data / "a", 0711);
                  change_mode(data / "a/file", 0400);
                  change_mode(data / "a/inner", 02750);
              }},
             {"names that are unusual", two_directories, [](const Path& data) {
                  put(data / "with space\nand line" / "\xc3\xa4\xe2\x82\xac");
                  put(data / std::string(255, 'n'));
                  rename_path(data / "a", data / "-a");
              }}}) {
        play_everywhere(scenario);
    }
}
