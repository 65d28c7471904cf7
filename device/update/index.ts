export { findHome, homeOf, type Home } from './home.ts';
export { Rauc, type RaucOptions, type RaucStatus, type SlotInfo } from './rauc.ts';
export { Updater, type InstallOptions, type UpdateTarget, type UpdateView } from './updater.ts';
