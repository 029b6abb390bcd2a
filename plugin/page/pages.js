// The pages: what each asks the broker for, and what its template is given.
//
// A page loads its data itself, keeps it as `view` and draws it when all is there. While a job runs
// that it shows it does so each second, otherwise as often as the user has chosen for the whole UI.

// The page that is shown, or was shown last.
var page;

function open_page(template, attributes, load) {
    page = Object.assign({template: 'hot-backup-' + template, hash: location.hash,
                          load: user_administrator ? load : load_nothing,
                          listings: {}, view: undefined}, attributes);
    return load_page(page, draw_page);
}

// Whoever is no administrator gets here by the address only, and would be refused everything.
function load_nothing() {
    return Promise.resolve({forbidden: true});
}

function is_shown(some_page) {
    return some_page !== undefined && some_page === page && location.hash === some_page.hash;
}

// Loads it and has `draw` draw it. Not when the page has been left meanwhile, nor when one load has
// overtaken another: what was asked for last is what is shown.
function load_page(loaded, draw) {
    var number = loaded.asked = (loaded.asked || 0) + 1;
    return loaded.load(loaded).then(function(view) {
        loaded.answered = Math.max(loaded.answered || 0, number);
        loaded.loaded_at = Date.now();
        if (is_shown(loaded) && loaded.answered === number) {
            loaded.view = view;
            draw(loaded);
        }
    });
}

function refresh() {
    return is_shown(page) ? load_page(page, redraw_page) : Promise.resolve();
}

// A second has gone by.
function tick() {
    if (!is_shown(page) || page.view === undefined || page.asked > page.answered) return;
    var due = page.view.busy ? 1000 : timer_interval;
    if (due !== null && Date.now() - page.loaded_at >= due - 100) refresh();
}

function draw_page(drawn) {
    render({}, drawn.template, '#/hot-backup');
    // The UI would draw it again and again without new data.
    clearInterval(timer);
    report_connection(drawn.view);
}

// Only what has changed is replaced: a button keeps its place under the pointer, a selection stays.
// What the user is writing into is left alone.
function redraw_page(drawn) {
    var scratch = document.createElement('template');
    scratch.innerHTML = templates[template_of(drawn)](drawn.view);
    var before = document.querySelectorAll('#main .updatable');
    var after = scratch.content.querySelectorAll('.updatable');
    if (before.length !== after.length) {
        draw_page(drawn);
        return;
    }
    for (var i = 0; i < before.length; i++) {
        var writing = before[i].querySelector('input:focus, select:focus');
        if (!writing && before[i].innerHTML !== after[i].innerHTML) {
            before[i].replaceChildren.apply(before[i], after[i].childNodes);
        }
    }
    report_connection(drawn.view);
}

function template_of(some_page) {
    return some_page.template.replace(/^hot-backup-/, '');
}

// In the UI's corner: when it was refreshed, or since when there is no answer.
function report_connection(view) {
    if (view.unreachable) {
        update_status('error');
    } else {
        last_successful_connect = new Date();
        update_status('ok');
    }
}

// ---------------------------------------------------------------------------------------------

function open_list() {
    var backups = make_listing('backups', '/backups', 'instant');
    open_page('list', {listings: {backups: backups}}, load_list);
}

function load_list(list) {
    return Promise.all([
        get_all({status: '/status', jobs: '/jobs',
                 latest: '/backups?page=1&page_size=' + chart_length}),
        load_listing(list.listings.backups)
    ]).then(function(answers) {
        var status = answers[0].status;
        return with_status(status, {
            jobs: items_of(answers[0].jobs),
            latest: items_of(answers[0].latest).filter(function(backup) {
                return !backup.unreadable;
            }),
            listing: list.listings.backups,
            backups: answers[1]
        });
    });
}

function open_backup(id) {
    open_page('backup', {
        id: id,
        listings: {queues: make_listing('queues', path_of(id, '/queues'), 'messages'),
                   files: make_listing('files', path_of(id, '/files'), 'size')}
    }, load_backup);
}

function load_backup(backup) {
    var listings = backup.listings;
    return Promise.all([
        get_all({status: '/status', jobs: '/jobs', backup: path_of(backup.id)}),
        load_part(listings.queues), load_part(listings.files)
    ]).then(function(answers) {
        var view = with_status(answers[0].status, {
            id: backup.id, backup: answers[0].backup,
            queues: answers[1], files: answers[2], listings: listings
        });
        return load_last_check(backup, items_of(answers[0].jobs)).then(function(check) {
            view.check = check;
            return view;
        });
    });
}

// With its findings, which a list of jobs does not have.
function load_last_check(backup, jobs) {
    var last = jobs.filter(function(job) {
        return job.backup === backup.id && is_over(job) &&
            (job.kind === 'verify' || job.kind === 'drill');
    })[0];
    if (!last || backup.check && backup.check.id === last.id) return Promise.resolve(backup.check);
    return request('GET', '/jobs/' + last.id).then(function(answer) {
        backup.check = answer.ok ? answer.body : undefined;
        return backup.check;
    });
}

// The queues and files of a backup never change: they are asked for once, and when the user wants
// another part of them.
function load_part(listing) {
    var path = listing_path(listing);
    if (listing.answer && listing.answered === path) return Promise.resolve(listing.answer);
    return load_listing(listing).then(function(answer) {
        listing.answer = answer.ok ? answer : undefined;
        listing.answered = listing_path(listing);
        return answer;
    });
}

// `plan` and `job` appear as the user goes on: first what would happen, then what does.
function open_restore(id, vhost, queue) {
    open_page('restore', {id: id, vhost: vhost, queue: queue, plan: undefined, job: undefined},
              load_restore);
}

function load_restore(restore) {
    var paths = {status: '/status'};
    if (restore.job) paths.job = '/jobs/' + restore.job;
    return get_all(paths).then(function(answers) {
        return with_status(answers.status, {
            id: restore.id, vhost: restore.vhost, queue: restore.queue,
            plan: restore.plan, selection: restore.selection, job: answers.job
        });
    });
}

// What every page shows of the node, added to what is its own.
function with_status(answer, view) {
    view.status = answer;
    view.running = answer.ok && answer.body.running || [];
    view.busy = view.running.length > 0;
    view.unreachable = answer.status === 0;
    return view;
}

// A list comes alone, or as a page of one.
function items_of(answer) {
    if (!answer.ok) return [];
    return Array.isArray(answer.body) ? answer.body : answer.body.items || [];
}

function running_job(view, kinds) {
    return view.running.filter(function(job) {
        return kinds.indexOf(job.kind) !== -1;
    })[0];
}
